"""Ed25519 signatures of bundles. Using a key requires the extra ``sign``."""
