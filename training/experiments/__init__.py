"""Experiments on data and splits: cross-validation and the effect of a leaking split. No model is shipped."""
