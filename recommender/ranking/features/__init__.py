"""Dense features of rankers and the searches in long histories that compute them."""
