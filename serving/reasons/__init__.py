"""Reasons for recommendations, per language."""
