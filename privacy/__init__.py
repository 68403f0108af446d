"""Erasure of users from every store: `erase.py` is the entry point, every store has one file. Nothing imports this package.

Erasers of stores: `landing_zone`, `marts`, `recommender_files`, `broker`, `online_store`. Erasers of file formats: `parquet`,
`sqlite`.
"""
