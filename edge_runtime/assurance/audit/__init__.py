"""The audit log: which model answered when, as a chain of hashes (docs/reference/audit.md)."""
