"""Heuristic baselines against plain Python."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.support.training.evaluation_marts import FIRST
from tests.support.training.fitted_workspace import TRACKS, small_data
from training.data.training_data import TrainingData
from training.evaluation.baselines import user_plays
from training.evaluation.baselines.heuristics import BaseLevelActivation, TifuKnnConfig
from training.evaluation.baselines.tuned import Baselines
from training.evaluation.baselines.user_plays import TrainSessions

K = 12
CONFIGS = {
    "activation": BaseLevelActivation(0.7, 0.3),
    "tifu_knn": TifuKnnConfig(group_decay=0.6, group_sessions=3, within_decay=0.9, alpha=0.7, neighbors=4),
}


class Oracle:
    """Scores of every track by loops over the rows of the mart."""

    def __init__(self, folder: Path, data: TrainingData) -> None:
        self.rows = pl.read_parquet(folder / "plays.parquet").to_dicts()
        tracks = pl.read_parquet(folder / "tracks.parquet").filter("is_in_catalog")
        self.catalog, self.users = set(tracks["track_id"]), data.user_ids_U.tolist()

    def scores(self, config: Any, user: str, play_number: int, request_at_us: int) -> dict[str, float]:
        past = [row for row in self.rows if row["user_id"] == user and row["play_number"] < play_number]
        if isinstance(config, BaseLevelActivation):
            return self.activation(config, past, request_at_us)
        return self.next_basket(config, user, past)

    def activation(self, config: BaseLevelActivation, past: list[dict[str, Any]], now: int) -> dict[str, float]:
        scores: dict[str, float] = defaultdict(float)
        for row in past:
            age = max((now - micros(row["known_at"])) / 1e6, 60)
            scores[row["track_id"]] += (1 if row["is_listened"] else config.skip) * age**-config.decay
        return scores

    def next_basket(self, config: TifuKnnConfig, user: str, past: list[dict[str, Any]]) -> dict[str, float]:
        own = sessions_of(past)
        if not own:
            return {}
        others = {
            other: sessions_of(
                [row for row in self.rows if row["user_id"] == other and row["part"] == "train"], self.catalog
            )
            for other in self.users
            if other != user
        }
        vector, vectors = tifu(config, own), {name: tifu(config, baskets) for name, baskets in others.items()}

        def distance(name: str) -> float:
            tracks = vector.keys() | vectors[name].keys()
            return math.dist(
                [vector.get(track, 0) for track in tracks], [vectors[name].get(track, 0) for track in tracks]
            )

        nearest = sorted(vectors, key=distance)[: config.neighbors]
        weights = dict.fromkeys(nearest, (1 - config.alpha) / config.neighbors)
        scores = {track: config.alpha * value for track, value in vector.items()}
        for name, weight in weights.items():
            for track, value in vectors[name].items():
                scores[track] = scores.get(track, 0) + weight * value
        return scores


def micros(when: Any) -> int:
    return int((when - FIRST.replace(year=1970)).total_seconds() * 1_000_000)


def sessions_of(rows: list[dict[str, Any]], tracks: set[str] | None = None) -> list[set[str]]:
    """Sets of tracks listened to, oldest session first."""
    sessions: dict[str, set[str]] = {}
    for row in rows:
        if row["is_listened"] and (tracks is None or row["track_id"] in tracks):
            sessions.setdefault(row["session_id"], set()).add(row["track_id"])
    return list(sessions.values())


def tifu(config: TifuKnnConfig, sessions: list[set[str]]) -> dict[str, float]:
    weights = [
        config.within_decay ** (age % config.group_sessions) * config.group_decay ** (age // config.group_sessions)
        for age in range(len(sessions))
    ]
    scores: dict[str, float] = defaultdict(float)
    for weight, basket in zip(weights, reversed(sessions), strict=True):
        for track in basket:
            scores[track] += weight / sum(weights)
    return scores


@pytest.mark.parametrize("name", CONFIGS)
def test_lists_are_those_of_plain_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(user_plays, "CASE_BATCH_SIZE", 2)
    data = small_data(tmp_path)
    cases, oracle = data.recall_cases("test"), Oracle(tmp_path, data)
    lists = Baselines(data, TrainSessions.from_data(data), CONFIGS, {}, {}).recall(cases, K, [name])[name]
    for case in range(0, len(cases), 5):
        user = cases.user_ids[case]
        scores = oracle.scores(CONFIGS[name], user, int(cases.play_number_C[case]), int(cases.request_at_C[case]))
        items = data.vocabulary.decode(lists[case][lists[case] > 0])
        best = sorted((value for value in scores.values() if value > 1e-12), reverse=True)[:K]
        assert len(set(items)) == len(items) == len(best)
        assert [scores[item] for item in items] == pytest.approx(best, rel=1e-5)


def test_played_tracks_outside_the_catalog_are_recommended(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    cases = data.recall_cases("test")
    removed = np.unique(cases.items["repeat"].items)[:5]
    data.catalog_V[removed] = False
    for lists in Baselines(data, TrainSessions.from_data(data), CONFIGS, {}, {}).recall(cases, TRACKS).values():
        assert np.isin(removed, lists).any()
