"""Nearest-neighbor search over item vectors: exact, IVF, int8 prefilter, cold start."""
