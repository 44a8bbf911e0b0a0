"""Golden vectors: images with the logits that they had where the bundle was made, replayed on this processor."""
