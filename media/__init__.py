"""Previews and covers: simulated media, rendered from a description of the track, and the files of a media root."""
