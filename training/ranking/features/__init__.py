"""Features that rankers read."""
