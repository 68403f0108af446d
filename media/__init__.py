"""Previews and covers: simulated media, rendered from a description of the track, the files of a media root, and audio files."""
