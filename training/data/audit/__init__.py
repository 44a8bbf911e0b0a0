"""Search for copies, contradictory labels and leaks between parts in a data set."""
