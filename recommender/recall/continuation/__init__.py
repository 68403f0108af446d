"""Playlist continuation: candidates that fit the tracks (seeds) and the title of a playlist."""
