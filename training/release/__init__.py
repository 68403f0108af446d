"""Releases: build, gate, store, activate and roll back. Serving loads a release with `bundle.Release.load(folder)`."""
