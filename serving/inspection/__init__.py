"""What the service tells about a user and about its own recommendations; nothing here changes a response."""
