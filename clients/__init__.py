"""Clients of the recommender's HTTP API, generated from its OpenAPI document."""
