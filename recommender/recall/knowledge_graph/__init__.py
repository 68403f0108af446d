"""Recall channel over a music knowledge graph."""
