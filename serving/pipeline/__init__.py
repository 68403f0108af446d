"""The request path: hydrate, recall, fuse, filter, rank, select."""
