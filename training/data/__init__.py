"""Published data sets: layouts, splits, audits, samples and tensors."""
