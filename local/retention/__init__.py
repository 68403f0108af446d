"""Retention: lifetimes of data and their removal."""
