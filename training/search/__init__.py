"""Search of tracks by text: names with typing errors, facets in words of English and Chinese, and periods of release."""
