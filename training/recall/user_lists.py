"""Lists per user, stored as one Parquet file with a row per user, so that erasure finds the users.

Legend: U users, P elements of all lists.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa


def write_user_lists(path: Path, user_ids: tuple[str, ...], offset_U1: np.ndarray, **columns_P: np.ndarray) -> None:
    """Write the columns; those of user u are the elements `offset_U1[u]:offset_U1[u + 1]`."""
    lists = [_to_lists(name, values_P, offset_U1) for name, values_P in columns_P.items()]
    pl.DataFrame([pl.Series("user_id", list(user_ids), dtype=pl.String), *lists]).write_parquet(path)


def read_user_lists(path: Path, *names: str) -> tuple[tuple[str, ...], np.ndarray, list[np.ndarray]]:
    """User ids, offsets [U + 1] and the named columns [P] that `write_user_lists` wrote."""
    rows = pl.read_parquet(path)
    offset_U1 = np.concatenate([[0], np.cumsum(rows[names[0]].list.len().to_numpy())]).astype(np.int64)
    columns = [rows[name].explode(empty_as_null=False).to_numpy() for name in names]
    return tuple(rows["user_id"].to_list()), offset_U1, columns


def _to_lists(name: str, values_P: np.ndarray, offset_U1: np.ndarray) -> pl.Series:
    """One list per user. Built from offsets, because polars turns arrays of equal length into another type than lists."""
    return pl.Series(name, pa.LargeListArray.from_arrays(pa.array(offset_U1), pa.array(values_P)))
