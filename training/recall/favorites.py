"""Fit of the favorites channel: an archive of plays, and the order of the most active tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recommender.recall.favorites import Favorites, FavoritesConfig
from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData, archive_plays
from training.recall import learned_order

CUTOFFS = (50, 200)


def sample_requests(data: TrainingData, config: FavoritesConfig) -> RecallCases:
    """Requests of the newest sessions of each user in `train` that have a repeat and enough plays before them."""
    cases = data.recall_cases("train")
    number_C = np.arange(len(cases)) - np.searchsorted(cases.user_C, cases.user_C)
    sessions_U = np.bincount(cases.user_C)
    is_late_C = number_C >= (1 - config.order.train_fraction) * sessions_U[cases.user_C]
    has_history_C = cases.play_number_C >= config.order.min_history_plays
    rows = np.flatnonzero(is_late_C & has_history_C & (cases.items["repeat"].count_C > 0))
    requests, order = cases.take(rows), config.order
    return requests.sample(requests.number_per_user(order.requests_per_user), config.seed, order.max_requests)


def fit(data: TrainingData, config: FavoritesConfig, folder: Path) -> Favorites:
    """Fit the order, or copy the order of `data.held_out_model`."""
    del folder
    channel = Favorites(config, data.vocabulary, archive_plays(data, PARTS))
    if learned_order.needs_order(channel, data):
        examples = learned_order.build_examples(channel, sample_requests(data, config), data, "repeat")
        validation = data.recall_cases("validation")
        cases = validation.sample(validation.number_per_user(config.cases_per_user), config.seed)
        learned_order.fit_order(channel, data, examples, cases, "targets", CUTOFFS)
    channel.archive = archive_plays(data).newest(config.max_plays)
    return channel
