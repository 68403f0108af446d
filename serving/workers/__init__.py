"""Model workers: processes of one release that run its channels and its ranker, forked from one that has loaded it."""
