"""What shows that a bundle does what its network does: labelled pictures, golden vectors, maps, the page."""
