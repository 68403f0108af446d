"""Lands listening logs and catalogs as tables of the data contract."""
