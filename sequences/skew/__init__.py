"""Training/serving skew: comparison of the features that serving read with those that offline reads give."""
