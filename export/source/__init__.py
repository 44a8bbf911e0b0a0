"""Inputs of an export: the saved network cut at its logits, its spec, and the calibration images."""
