"""Where memory does not hold all plays: whose are held, and that nothing of the others is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from config import settings
from tests.support.training.tiny_world import SERVICES, random_plays, write_marts
from training.data.training_data import TrainingData
from training.data.user_sampling import sample_users
from training.engine.workspace import Workspace
from training.recipes import recipe

COUNTS = {f"u{number}": 3 + number % 7 for number in range(60)}
PLAYS = pl.LazyFrame({"user_id": [user for user, count in COUNTS.items() for _ in range(count)]})
ALL = sum(COUNTS.values())


def test_everybody_where_all_plays_fit() -> None:
    assert sample_users(PLAYS, ALL) is None


@pytest.mark.parametrize("most", [ALL - 1, 200, 50, 1])
def test_whole_listeners_and_no_more_plays_than_asked_for(most: int) -> None:
    ids = sample_users(PLAYS, most)
    assert ids is not None
    assert ids.is_sorted()
    held = sum(COUNTS[user] for user in ids)
    assert held <= most or len(ids) == 1
    others = sample_users(PLAYS.reverse(), most)
    assert others is not None
    assert others.to_list() == ids.to_list()


def test_who_is_drawn_among_few_is_drawn_among_more() -> None:
    few, more = sample_users(PLAYS, 60), sample_users(PLAYS, 180)
    assert few is not None
    assert more is not None
    assert set(few) < set(more)
    assert len(few) >= 5  # and not one by one from the front, whose first is u0
    assert few.to_list() != sorted(COUNTS)[: len(few)]


@pytest.fixture
def marts(tmp_path: Path) -> Path:
    return write_marts(tmp_path / "marts", random_plays(users=12, count=60))


def test_nothing_is_known_of_the_others(marts: Path, tmp_path: Path) -> None:
    """The same as of marts in which nobody else stands."""
    some = TrainingData(marts, "held_out", recipe("debug"), services=SERVICES, max_plays=300)
    assert some.sampled_user_ids is not None
    assert 0 < len(some.plays) <= 300
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in marts.glob("*.parquet"):
        rows = pl.read_parquet(path)
        if "user_id" in rows.columns:
            rows = rows.filter(pl.col("user_id").is_in(some.sampled_user_ids.implode()))
        rows.write_parquet(alone / path.name)
    expected = TrainingData(alone, "held_out", recipe("debug"), services=SERVICES)
    assert expected.sampled_user_ids is None
    for name, column in vars(expected.plays).items():
        np.testing.assert_array_equal(getattr(some.plays, name), column)
    assert some.user_ids_U.tolist() == expected.user_ids_U.tolist()
    assert some.vocabulary.track_ids_V.tolist() == expected.vocabulary.track_ids_V.tolist()
    for view in ("recent_events", "played_history"):
        found, wanted = some.reader(view), expected.reader(view)
        assert found.users == wanted.users
        np.testing.assert_array_equal(found.known_at_E, wanted.known_at_E)
        for name, column in wanted.columns.items():
            np.testing.assert_array_equal(found.columns[name], column)


def test_what_only_others_played_may_be_recommended(marts: Path) -> None:
    few = TrainingData(marts, "final", recipe("debug"), services=SERVICES, max_plays=1)
    everybody = TrainingData(marts, "final", recipe("debug"), services=SERVICES)
    of = [set(data.vocabulary.decode(np.flatnonzero(data.catalog_V))) for data in (few, everybody)]
    assert of[0] == of[1]
    assert len(set(few.plays.track_P.tolist())) < len(of[0])


def test_an_output_depends_on_it_where_it_leaves_somebody_out(marts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(marts.parent / "training", marts, "2024-02-01", "debug")
    whole = workspace.inputs()
    monkeypatch.setenv("SEGUE_TRAINING_PLAYS", "1000000")
    assert settings.load_settings().training_plays == 1_000_000
    assert workspace.inputs() == whole
    kept = workspace.cache_folder("held_out")
    monkeypatch.setenv("SEGUE_TRAINING_PLAYS", "300")
    assert workspace.inputs()["hash"] != whole["hash"]
    assert workspace.cache_folder("held_out") != kept
