"""Heuristic baselines against plain Python."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.support.training.fitted_workspace import TRACKS, small_data
from training.evaluation.baselines import user_plays
from training.evaluation.baselines.heuristics import BaseLevelActivation, TifuKnnConfig
from training.evaluation.baselines.tuned import Baselines
from training.evaluation.baselines.user_plays import TrainSessions

K = 12
CONFIGS = {
    "activation": BaseLevelActivation(0.7, 0.3),
    "tifu_knn": TifuKnnConfig(group_decay=0.6, group_sessions=3, within_decay=0.9, alpha=0.7, neighbors=4),
}


def activation(config: Any, past: list[dict[str, Any]], _: list[dict[str, Any]], now: int) -> dict[str, float]:
    """Scores of every track by a loop over the earlier rows of the user."""
    scores: dict[str, float] = defaultdict(float)
    for row in past:
        age = max((now - row["known_at"]) / 1e6, 60)
        scores[row["track_id"]] += (1 if row["is_listened"] else config.skip) * age**-config.decay
    return scores


def next_basket(config: Any, past: list[dict[str, Any]], rows: list[dict[str, Any]], _: int) -> dict[str, float]:
    """Scores of every track by the sessions of the user and of the most similar users."""
    vector = tifu(config, sessions_of(past))
    if not vector:
        return {}
    others = [
        tifu(config, sessions_of([row for row in rows if row["user_id"] == user and row["part"] == "train"]))
        for user in sorted({row["user_id"] for row in rows} - {past[0]["user_id"]})
    ]

    def distance(other: dict[str, float]) -> float:
        tracks = vector.keys() | other.keys()
        return math.dist([vector.get(track, 0) for track in tracks], [other.get(track, 0) for track in tracks])

    scores = {track: config.alpha * value for track, value in vector.items()}
    for other in sorted(others, key=distance)[: config.neighbors]:
        for track, value in other.items():
            scores[track] = scores.get(track, 0) + (1 - config.alpha) / config.neighbors * value
    return scores


def sessions_of(rows: list[dict[str, Any]]) -> list[set[str]]:
    """Sets of tracks listened to, oldest session first."""
    sessions: dict[str, set[str]] = {}
    for row in rows:
        if row["is_listened"]:
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


@pytest.mark.parametrize(("name", "by_hand"), [("activation", activation), ("tifu_knn", next_basket)])
def test_lists_are_those_of_plain_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, by_hand: Callable[..., dict[str, float]]
) -> None:
    monkeypatch.setattr(user_plays, "CASE_BATCH_SIZE", 2)
    data = small_data(tmp_path)
    plays = pl.read_parquet(tmp_path / "plays.parquet").with_columns(pl.col("known_at").dt.epoch("us"))
    cases, rows = data.recall_cases("test"), plays.to_dicts()
    lists = Baselines(data, TrainSessions.from_data(data), CONFIGS, {}, {}).recall(cases, K, [name])[name]
    for case in range(0, len(cases), 5):
        user, number = cases.user_ids[case], cases.play_number_C[case]
        scores = by_hand(
            CONFIGS[name],
            [row for row in rows if row["user_id"] == user and row["play_number"] < number],
            rows,
            int(cases.request_at_C[case]),
        )
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
