"""Golden vectors: images with the results of the exporting machine, replayed on this machine for comparison."""
