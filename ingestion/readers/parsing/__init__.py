"""Parsing shared by the log readers."""
