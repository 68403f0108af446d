"""Measurements of Segue that are not part of the product; see README.md."""
