"""What a spec may say about pixels, and how every image becomes a tensor."""
