"""Validates landed events and published marts with Great Expectations."""
