"""Calls to recall services in other processes."""
