"""The user of a request: history, exclusions and feature batches."""
