"""Releases as an operator sees them: folders, the active pointer, shares of users, integrity."""
