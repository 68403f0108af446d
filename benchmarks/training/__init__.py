"""Benchmarks of model training."""
