"""Site acceptance before a model is used at a site, and drift while it is used."""
