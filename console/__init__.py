"""Operator web console: reports, data quality, lineage and releases."""
