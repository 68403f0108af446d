"""Fit of the popularity channel: counts of listens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recommender.recall.popularity import ItemLanguages, Popularity, PopularityConfig
from sequences.sequence_views import DAY_US
from training.data.plays import PARTS
from training.data.training_data import TrainingData


def fit(data: TrainingData, config: PopularityConfig, folder: Path) -> Popularity:
    """Count the `train` plays. Ages are relative to the newest of them."""
    del folder
    plays = data.plays
    rows = np.flatnonzero((plays.part_P == PARTS.index("train")) & plays.is_listened_P)
    day = plays.known_at_P[rows] // DAY_US
    # One integer per (track, user, day): sorting integers is many times faster than sorting rows.
    users, first = np.int64(len(data.user_ids_U)), day.min(initial=day.max(initial=0))
    days = day.max(initial=0) - first + 1
    key = np.unique((plays.track_P[rows] * users + plays.user_P[rows]) * days + day - first)
    track, age = key // (users * days), days - 1 - key % days
    weight = 0.5 ** (age / config.half_life_days)
    weight_V = np.bincount(track, weights=weight, minlength=len(data.vocabulary))
    # Tracks with old plays only still come before tracks without plays, which are in vocabulary order.
    order = np.lexsort((np.arange(len(weight_V)), -weight_V))
    item_N = order[data.catalog_V[order]][: config.max_tracks]
    people_V = np.bincount(np.unique(key // days) // users, minlength=len(weight_V))
    times_V = np.bincount(plays.track_P[rows], minlength=len(weight_V))
    counts = people_V[item_N], times_V[item_N]
    return Popularity(config, item_N, weight_V[item_N], _item_languages(data, item_N), *counts)


def _item_languages(data: TrainingData, item_N: np.ndarray) -> ItemLanguages:
    """The languages of these items in the catalog."""
    names, lists = data.facets["languages"]
    share_NA = np.zeros((len(item_N), len(names)))
    for row, item in enumerate(item_N.tolist()):
        share_NA[row, lists[item]] = 1
    return ItemLanguages(item_N, names, share_NA)
