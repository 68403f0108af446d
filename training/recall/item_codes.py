"""Embedding rows of the tracks of a fit."""

from __future__ import annotations

import numpy as np
import torch

from content import FACETS
from recommender.nn.item_tower import MAX_FACET_VALUES, RARE_ROW, ItemCodes
from sequences.sequence_batch import FIRST_CODE
from training.data.training_data import TrainingData


def build_item_codes(data: TrainingData, count_V: np.ndarray, min_plays: int) -> ItemCodes:
    """Codes of the vocabulary's tracks. Content is that of tracks with texts or vectors besides their names.

    Args:
        data: Training data.
        count_V: Number of events of each track in the training data.
        min_plays: Smallest count of a track or artist with its own embedding.
    """
    vocabulary = data.vocabulary
    artist_V = vocabulary.artist_of_track_V
    count_A = np.bincount(artist_V, weights=count_V, minlength=vocabulary.artist_count)
    artist_row_A = _embedding_rows(count_A, min_plays)
    if not (artist_V >= FIRST_CODE).any():
        # If all artists are unknown, a shared vector would only make all tracks more similar.
        artist_row_A[:] = 0
    arrays = [_embedding_rows(count_V, min_plays), artist_row_A[artist_V], _facet_rows(data)]
    content, is_used_V = data.content, data.content.has_descriptive_content_V
    if is_used_V.any():
        content_V = np.where(is_used_V, is_used_V.cumsum(), 0)
        content_RW = np.pad(content.row_VW[is_used_V], ((1, 0), (0, 0)))
        is_cold_V = (count_V == 0) & (np.arange(len(count_V)) >= FIRST_CODE)
        arrays += [content_V.astype(np.int64), content_RW, is_cold_V, content.block_W]
    return ItemCodes(*(torch.from_numpy(array) for array in arrays))


def _embedding_rows(counts: np.ndarray, min_count: int) -> np.ndarray:
    """Row of each code: 0 for padding, RARE_ROW below `min_count`, then 2.. in order."""
    is_own = counts >= min_count
    is_own[:2] = False
    rows = np.where(is_own, np.cumsum(is_own) + RARE_ROW, RARE_ROW)
    rows[0] = 0
    return rows.astype(np.int64)


def _facet_rows(data: TrainingData) -> np.ndarray:
    """Embedding rows of every track's facet values [V, F], facet after facet; 0: none."""
    columns, first = [np.zeros((len(data.vocabulary), 0), dtype=np.int64)], 1
    for values, lists in (data.facets[facet] for facet in FACETS):
        count_V = np.minimum(lists.count_C, MAX_FACET_VALUES)
        rows_VF = np.zeros((len(count_V), int(count_V.max(initial=0))), dtype=np.int64)
        for column in range(rows_VF.shape[1]):
            has = count_V > column
            rows_VF[has, column] = lists.items[lists.offset_C1[:-1][has] + column] + first
        columns.append(rows_VF)
        first += len(values)
    return np.concatenate(columns, axis=1)
