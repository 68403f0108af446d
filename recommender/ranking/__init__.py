"""Ranking: one module or folder per ranker; `registry` is the table of rankers."""
