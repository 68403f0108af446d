"""Heuristic and tuned baselines."""
