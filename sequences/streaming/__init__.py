"""Event streaming through the broker of `SEGUE_BROKER`: the recommender publishes, consumers apply to the online store.

All events of a user are in one partition, and a partition has one consumer at a time, so a user has one writer. Delivery is
at least once and applying is idempotent (ADR 0035). The consumer is `python -m sequences.streaming.consume`.
"""
