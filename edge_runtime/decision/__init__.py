"""From logits to a decision: scores, the one rule with its thresholds and guard band, and the rule for a case."""
