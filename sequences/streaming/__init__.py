"""Events through a broker, where `SEGUE_BROKER` names one: the recommender publishes, `python -m sequences.streaming.consume` applies.

A user's events are in one partition, and a partition has one consumer at a time, so a user has one writer. Everything is
delivered at least once and applied as often as it comes, which changes nothing the second time (ADR 0035).
"""
