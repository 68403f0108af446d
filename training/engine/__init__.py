"""Training loop, distribution, caching and tracking."""
