"""Read-only views of a user and of how recommendations come about; nothing here changes a response."""
