"""Nearest-neighbor search over item vectors: exact, IVF, int8 prefilter, cold start; and the best of given scores."""
