"""Fits, tunes and evaluates the models of `recommender`."""

CACHE_FOLDER = "cache"
"""Folder beside the workspaces with arrays that several fits read. Declared here so that commands can name it without importing models."""
