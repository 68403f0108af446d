"""Removal of what is older than its lifetime (`config/retention_settings.py`)."""
