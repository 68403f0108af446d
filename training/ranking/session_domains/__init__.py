"""Ranker over sessions and behavior groups."""
