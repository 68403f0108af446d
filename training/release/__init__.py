"""Releases: assembled, judged, kept, put into service and taken back. `Release.load(folder)` is what serving needs."""

from training.release.bundle import Release

__all__ = ["Release"]
