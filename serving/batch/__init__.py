"""Lists and embeddings of all users as Parquet files (`python -m serving.batch`)."""
