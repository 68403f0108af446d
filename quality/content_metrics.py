"""Metrics of the vectors of a table `track_content`, which Great Expectations has no expectations for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

BATCH_ROWS = 5_000
DIMENSIONS = {"audio": 200, "image": 1_280, "text": 512}
TAGS = {"audio": 50}


def vector_metrics(file: Path, encoder: str) -> dict[str, float | None]:
    """Metrics over all rows of a file, read in batches.

    Returns:
        `encoder_versions`: number of versions. `wrong_embeddings`: rows whose embedding has another length than the
        encoder's or a number that is not finite. `wrong_probabilities`: rows whose tag probabilities have another
        length or are not in [0, 1]; rows of encoders without tags have none.
    """
    versions: set[str] = set()
    wrong_embeddings = wrong_probabilities = 0
    columns = ["encoder_version", "embedding", "tag_probabilities"]
    for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=columns):
        versions.update(batch.column("encoder_version").unique().to_pylist())
        wrong_embeddings += int(_matrix(batch.column("embedding"), DIMENSIONS[encoder])[1].sum())
        wrong_probabilities += _wrong_probabilities(batch.column("tag_probabilities"), TAGS.get(encoder))
    return {
        "encoder_versions": len(versions),
        "wrong_embeddings": wrong_embeddings,
        "wrong_probabilities": wrong_probabilities,
    }


def _matrix(lists: pa.ListArray, width: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The lists of the right length as rows, and which lists are null, of another length or not finite."""
    is_right_N = pc.fill_null(pc.equal(pc.list_value_length(lists), width), False).to_numpy(zero_copy_only=False)
    right = lists.filter(pa.array(is_right_N))
    row_ND = np.asarray(pc.fill_null(right.flatten(), float("nan"))).reshape(-1, width)
    is_wrong_N = ~is_right_N
    is_wrong_N[is_right_N] = ~np.isfinite(row_ND).all(axis=1)
    return row_ND, is_wrong_N


def _wrong_probabilities(lists: pa.ListArray, width: int | None) -> int:
    if width is None:
        return int(len(lists) - lists.null_count)
    row_NT, is_wrong_N = _matrix(lists, width)
    with np.errstate(invalid="ignore"):  # rows that are not finite are counted as wrong already
        is_out_of_range_N = np.isfinite(row_NT).all(axis=1) & ((row_NT < 0) | (row_NT > 1)).any(axis=1)
    return int(is_wrong_N.sum()) + int(is_out_of_range_N.sum())
