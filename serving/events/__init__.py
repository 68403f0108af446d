"""Event intake: validation, write-ahead log, online writes, exposures."""
