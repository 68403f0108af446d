"""Point-in-time reads of sequence features: Feast offline stores and the dense reader."""
