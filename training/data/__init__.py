"""Published data sets: layouts, splits, audits, samples, and conversion to tensors."""
