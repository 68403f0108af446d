"""Performance comparisons, run by `make bench`."""
