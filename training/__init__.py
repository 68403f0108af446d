"""Fits, tunes and evaluates the models of `recommender`."""
