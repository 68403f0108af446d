"""Training data: vocabulary, histories, cases and features as arrays."""
