"""Fits of rankers and of the listwise head."""
