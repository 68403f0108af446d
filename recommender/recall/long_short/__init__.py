"""Recall channel with separate long-term and short-term interest."""
