"""Benchmarks of the recommender service."""
