"""Generator of clients of the recommender's HTTP API, and its OpenAPI document."""
