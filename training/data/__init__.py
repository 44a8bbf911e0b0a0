"""Published images: their layouts, splits, audits and samples, and how they become tensors."""
