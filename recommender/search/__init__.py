"""Search of tracks by text: names with typing errors, facets in words of seven languages,
negations, and periods of release."""

SEARCH_FORMAT = 3
"""Increase it when `write_search` writes something else: the next release gets another id, even from the same
data."""
