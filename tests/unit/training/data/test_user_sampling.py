"""Sampling of users if plays exceed the limit: sampled users are complete, others are ignored."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.training.tiny_world import SERVICES, random_plays, write_marts
from training.data.plays import sample_users
from training.data.training_data import TrainingData
from training.recipes import recipe
from training.workspace import Workspace

COUNTS = {f"u{number}": 3 + number % 7 for number in range(60)}
PLAYS = pl.LazyFrame({"user_id": [user for user, count in COUNTS.items() for _ in range(count)]})
ALL = sum(COUNTS.values())


@pytest.mark.parametrize("max_plays", [ALL - 1, 200, 50, 1])
def test_users_are_complete_and_within_the_limit(max_plays: int) -> None:
    ids = sample_users(PLAYS, max_plays)
    assert ids is not None and ids.is_sorted()
    assert sum(COUNTS[user] for user in ids) <= max_plays or len(ids) == 1
    assert ids.equals(sample_users(PLAYS.reverse(), max_plays))


@pytest.fixture
def marts(tmp_path: Path) -> Path:
    return write_marts(tmp_path / "marts", random_plays(users=12, count=60))


def test_users_outside_the_sample_are_ignored(marts: Path, tmp_path: Path) -> None:
    """Training data equals data from marts with the sampled users only."""
    sample = TrainingData(marts, "held_out", recipe("debug"), services=SERVICES, max_plays=300)
    assert sample.sampled_user_ids is not None and 0 < len(sample.plays) <= 300
    reduced = tmp_path / "reduced"
    shutil.copytree(marts, reduced)
    for path in (reduced / "plays.parquet", reduced / "events.parquet"):
        pl.read_parquet(path).filter(pl.col("user_id").is_in(sample.sampled_user_ids.implode())).write_parquet(path)
    expected = TrainingData(reduced, "held_out", recipe("debug"), services=SERVICES)
    np.testing.assert_equal(vars(sample.plays), vars(expected.plays))
    assert sample.user_ids_U.tolist() == expected.user_ids_U.tolist()
    assert sample.vocabulary.track_ids_V.tolist() == expected.vocabulary.track_ids_V.tolist()
    for view in ("recent_events", "played_history"):
        found, wanted = sample.reader(view), expected.reader(view)
        assert found.users == wanted.users
        np.testing.assert_equal([found.known_at_E, found.columns], [wanted.known_at_E, wanted.columns])


def test_inputs_depend_on_the_limit_only_if_it_is_exceeded(marts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened() -> Workspace:
        return Workspace(marts.parent / "training", marts, "2024-02-01", "debug")

    monkeypatch.setattr(Workspace, "code", "hash of the code")
    whole, cache_folder = opened().inputs(), opened().cache_folder("held_out")
    monkeypatch.setenv("SEGUE_TRAINING_PLAYS", "1000000")
    assert opened().inputs() == whole
    monkeypatch.setenv("SEGUE_TRAINING_PLAYS", "300")
    assert opened().inputs()["hash"] != whole["hash"]
    assert opened().cache_folder("held_out") != cache_folder
