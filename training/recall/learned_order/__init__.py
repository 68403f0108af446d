"""Learned order of the candidates of a channel by boosted trees."""
