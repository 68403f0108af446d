"""Lists and embeddings of all users as Parquet files (`python -m serving.batch`)."""


class BatchError(RuntimeError):
    """The run cannot continue; the message says what to do."""
