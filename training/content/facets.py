"""Facets of a track, which are lists of values."""

from __future__ import annotations

FACETS = ("languages", "styles", "scenes", "emotions", "themes")
