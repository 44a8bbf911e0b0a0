"""What is measured: one module each, with a function from a network and the settings to a table."""
