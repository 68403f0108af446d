"""Benchmarks of landing, dbt, Feast and streaming."""
