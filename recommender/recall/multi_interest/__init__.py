"""The multi_interest channel: several interest vectors per user (capsule routing or self-attention)."""
