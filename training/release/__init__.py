"""Releases: assembled, judged, kept, put into service and taken back. `bundle.Release.load(folder)` is what serving needs."""
