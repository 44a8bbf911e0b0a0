"""A bundle's files side by side in one run: time, size, memory."""
