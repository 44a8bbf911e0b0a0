"""Preprocessing: the steps that a spec may contain, and the code that turns an image into a tensor with them."""
