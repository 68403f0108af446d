"""DIEN-style ranker: interest extraction and AUGRU."""
