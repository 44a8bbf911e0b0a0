"""Decision policies fitted on validation patients: temperature, cut-off, confidence floor and case rule."""
