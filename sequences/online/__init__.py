"""The online part of sequence features: live events, materialization, reader and writer."""
