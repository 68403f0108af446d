"""Analysis of exposures: A/B comparison of the arms of an experiment."""
