"""Figures drawn and written down for people."""
