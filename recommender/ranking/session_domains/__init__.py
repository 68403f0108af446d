"""Ranker with one sequence per behavior (DMT, DFN) and pooled sessions (DSIN)."""
