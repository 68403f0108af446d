"""Erasure of users from every store: one entry point, one file per store."""
