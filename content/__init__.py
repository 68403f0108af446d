"""Text, audio and image features of tracks."""

FACETS = ("languages", "styles", "scenes", "emotions", "themes")
"""Facets of a track, which are lists of values."""
