"""Nearest-neighbor search over item vectors, thresholds of cold items, arcs between vectors, and the best of given scores."""
