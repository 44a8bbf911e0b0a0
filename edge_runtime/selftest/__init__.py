"""Does this very device compute what the exporting machine computed? Golden vectors replayed, and a certificate."""
