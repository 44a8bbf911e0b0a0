"""What shows that a bundle does what its network does: labelled images, golden vectors, maps, the page."""
