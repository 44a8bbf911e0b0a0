"""A table of networks: which the exporter takes, in which formats, on which interpreters, and what it refuses."""
