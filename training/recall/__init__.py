"""Fits of recall channels: a module per channel, of the same name as in recommender.recall."""
