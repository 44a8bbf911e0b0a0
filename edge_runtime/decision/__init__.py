"""Decisions from logits: scores, the decision rule with its thresholds and guard band, and the case rule."""
