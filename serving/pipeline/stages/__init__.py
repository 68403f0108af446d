"""Stages of a request: hydrate, recall, fuse, rank, select, explore; each is given the result of the previous one."""
