"""Recall channel with interest capsules."""
