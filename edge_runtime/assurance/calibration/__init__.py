"""Calibration at a site: thresholds fitted and validated on the site's own labelled cases, as a site policy."""
