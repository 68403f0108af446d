"""Recall and ranking metrics with confidence intervals."""
