"""Recall channel that computes the user vector at request time."""
