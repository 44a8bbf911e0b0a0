"""Measure answers on held-out patients, and fit on validation patients what decides them."""
