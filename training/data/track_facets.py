"""Similarity of tracks by their facets: language, styles, scenes of life, emotions, themes.

Legend: C candidates, V vocabulary, N facet values of all tracks, U values of the candidates, F facets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.training_data import FACETS

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TrackFacets:
    """Facet values of all tracks; item v has the values `value_N[offset_V1[v]:offset_V1[v + 1]]`."""

    value_N: NDArray[np.int32]
    facet_N: NDArray[np.int8]  # index into FACETS of each value
    offset_V1: NDArray[np.int64]

    @classmethod
    def build(cls, rows: pl.DataFrame) -> Self:
        """From one row per item with a list column for each of FACETS, which may be null or missing."""
        V = len(rows)
        facet_tables = [
            _facet_values(rows, name).with_columns(facet=pl.lit(number)) for number, name in enumerate(FACETS)
        ]
        values = pl.concat(facet_tables).unique().sort("item", "facet", "value")
        codes = values.select("facet", "value").unique(maintain_order=True).with_row_index("code")
        values = values.join(codes, on=["facet", "value"], how="left", maintain_order="left")
        return cls(
            value_N=values["code"].cast(pl.Int32).to_numpy(),
            facet_N=values["facet"].cast(pl.Int8).to_numpy(),
            offset_V1=np.searchsorted(values["item"].to_numpy(), np.arange(V + 1)).astype(np.int64),
        )

    def similarity(self, items_C: NDArray[np.int64]) -> Floats:
        """Similarity of each pair of items, [C, C] in 0..1.

        The cosine similarity of two tracks' values of a facet, averaged over the facets that both tracks have; NaN if
        there is no such facet.
        """
        C = len(items_C)
        count_C = self.offset_V1[items_C + 1] - self.offset_V1[items_C]
        row_N = np.repeat(np.arange(C), count_C)
        position_N = np.arange(len(row_N)) - np.repeat(np.cumsum(count_C) - count_C, count_C)
        position_N += np.repeat(self.offset_V1[items_C], count_C)
        values_CF = np.bincount(row_N * len(FACETS) + self.facet_N[position_N], minlength=C * len(FACETS))
        _, column_N = np.unique(self.value_N[position_N], return_inverse=True)
        weight_CU = np.zeros((C, int(column_N.max(initial=-1)) + 1), dtype=np.float32)
        facet_size_N = values_CF[row_N * len(FACETS) + self.facet_N[position_N]]
        weight_CU[row_N, column_N] = 1 / np.sqrt(facet_size_N)
        has_CF = (values_CF.reshape(C, len(FACETS)) > 0).astype(np.float32)
        both_CC = has_CF @ has_CF.T
        unknown = np.full((C, C), np.nan, dtype=np.float32)
        similarity_CC: Floats = np.divide(weight_CU @ weight_CU.T, both_CC, out=unknown, where=both_CC > 0)
        return similarity_CC

    def intra_list_diversity(self, items_CL: NDArray[np.int64]) -> NDArray[np.float64]:
        """Intra-list diversity of C lists (0: padding): mean of 1 - similarity over pairs with a similarity; else NaN."""
        diversity_C = np.full(len(items_CL), np.nan)
        for case, row in enumerate(items_CL):
            items = row[row > 0]
            pairs = self.similarity(items)[np.triu_indices(len(items), 1)]
            valid = pairs[~np.isnan(pairs)]
            if len(valid):
                diversity_C[case] = 1 - valid.mean()
        return diversity_C


def _facet_values(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Columns `item` and `value` of a facet, without nulls."""
    lists = rows[name].cast(pl.List(pl.String)) if name in rows.columns else pl.Series([None] * len(rows))
    table = pl.DataFrame({"item": np.arange(len(rows)), "value": lists.cast(pl.List(pl.String))})
    return table.explode("value").drop_nulls("value")
