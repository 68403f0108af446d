"""The tracks, artists and collections that models and requests refer to by number."""
