"""Fits, tunes and evaluates the models of `recommender`."""

CACHE_FOLDER = "cache"
"""Folder beside the workspaces with arrays that several fits read. Here, so that no one imports the models for its name."""
