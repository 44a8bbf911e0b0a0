"""Golden vectors: images and the answers that they had where the bundle was made, replayed on this machine."""
