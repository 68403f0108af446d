"""Removal of what is older than its lifetime (`config/settings.py`)."""
