"""Ed25519 signatures over bundles; needs the extra ``sign`` where a key is used."""
