"""Metrics, logs and background monitors."""
