"""A listening world with planted structure: who likes what is known, so that tests can ask whether a model found it."""
