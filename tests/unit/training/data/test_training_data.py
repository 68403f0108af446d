from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from tests.support.training.tiny_world import SERVICES, START, random_plays, write_marts
from training.data.training_data import TrainingData
from training.recipes import recipe


def test_cases_of_a_small_log(tmp_path: Path) -> None:
    """20 plays: 16 train, 2 validation, 2 test. Session 2 starts in validation, session 3 in test."""
    plays = [("u", f"t{number % 4}", START + timedelta(minutes=4 * number), 180_000) for number in range(16)]
    later = START + timedelta(hours=9)
    plays += [("u", "t9", later, 180_000), ("u", "t0", later + timedelta(minutes=4), 180_000)]
    last = later + timedelta(hours=9)
    plays += [("u", "t8", last, 20_000), ("u", "t9", last + timedelta(minutes=4), 180_000)]
    data = TrainingData(write_marts(tmp_path, plays), "held_out", recipe("debug"), services=SERVICES)
    named = {
        part: {kind: data.vocabulary.decode(lists[0]) for kind, lists in data.recall_cases(part).items.items()}
        for part in ("validation", "test")
    }
    assert named == {
        "validation": {"targets": ["t9", "t0"], "repeat": ["t0"], "discovery": ["t9"], "reachable": []},
        "test": {"targets": ["t9"], "repeat": ["t9"], "discovery": [], "reachable": []},
    }
    assert data.recall_cases("test").play_number_C.tolist() == [18]
    assert not data.catalog_V[data.vocabulary.track_code["t8"]]


def test_targets_to_learn_from_are_not_of_later_parts(tmp_path: Path) -> None:
    """One session of 10 plays: 8 train, 1 validation, 1 test."""
    plays = [
        ("u", track, START + timedelta(minutes=4 * number), 180_000)
        for number, track in enumerate([*["t0", "t1"] * 4, "t2", "t3"])
    ]
    data = TrainingData(write_marts(tmp_path, plays), "held_out", recipe("debug"), services=SERVICES)
    assert data.vocabulary.decode(data.recall_cases("train").items["targets"][0]) == ["t0", "t1"]
    assert len(data.recall_cases_from_rows(np.array([8]), data.catalog_V)) == 0, (
        "a request within the session, after the train part"
    )


def test_cases_equal_a_plain_python_oracle(data: TrainingData) -> None:
    rows = pl.read_parquet(data.marts / "plays.parquet").to_dicts()
    expected = []
    for session in dict.fromkeys((row["user_id"], row["session_id"]) for row in rows):
        inside = [row for row in rows if (row["user_id"], row["session_id"]) == session]
        if inside[0]["part"] != "validation":
            continue
        before = {
            row["track_id"]
            for row in rows
            if row["user_id"] == session[0] and row["play_number"] < inside[0]["play_number"]
        }
        targets = list(dict.fromkeys(row["track_id"] for row in inside if row["is_listened"]))
        if targets:
            expected.append(
                (session[0], inside[0]["play_number"], targets, [track for track in targets if track in before])
            )
    cases, decode = data.recall_cases("validation"), data.vocabulary.decode
    lists = [[decode(cases.items[kind][case]) for case in range(len(cases))] for kind in ("targets", "repeat")]
    assert list(zip(cases.user_ids, cases.play_number_C, *lists, strict=True)) == expected and len(expected) > 3


def test_tracks_first_played_in_validation_are_not_reachable(tmp_path: Path) -> None:
    plays = random_plays()
    user, _, ended, _ = plays[125]
    plays[125] = (user, "t99", ended, 180_000)
    data = TrainingData(write_marts(tmp_path, plays), "held_out", recipe("debug"), services=SERVICES)
    (new_track,) = data.vocabulary.encode(["t99"])
    assert data.catalog_V[new_track] and not data.validation_catalog_V[new_track]
    assert data.validation_catalog_V.sum() == data.catalog_V.sum() - 1
    kinds = data.recall_cases("validation").items
    assert new_track in kinds["discovery"].items and new_track not in kinds["reachable"].items
    dated = pl.read_parquet(data.marts / "tracks.parquet").with_columns(
        released_on=pl.when(pl.col("track_id") == "t99").then(pl.date(2020, 1, 1))
    )
    dated.write_parquet(data.marts / "tracks.parquet")
    assert TrainingData(data.marts, "held_out", recipe("debug"), services=SERVICES).validation_catalog_V[new_track]


def test_final_catalog_has_tracks_that_became_available_by_the_newest_play(tmp_path: Path) -> None:
    plays = random_plays()
    marts, newest = write_marts(tmp_path, plays), max(ended for _, _, ended, _ in plays)
    unplayed = [f"t{number}" for number in range(80, 84)]
    rows = pl.read_parquet(marts / "tracks.parquet")
    others = rows.head(len(unplayed)).with_columns(
        track_id=pl.Series(unplayed),
        is_in_catalog=pl.lit(False),
        available_from=pl.Series([newest, newest + timedelta(seconds=1), None, None], dtype=pl.Datetime("us")),
        released_on=pl.Series([None, None, newest.date(), newest.date() + timedelta(days=1)], dtype=pl.Date),
    )
    pl.concat([rows, others]).write_parquet(marts / "tracks.parquet")
    final = TrainingData(marts, "final", recipe("debug"), services=SERVICES)
    assert final.catalog_V[final.vocabulary.encode(unplayed)].tolist() == [True, False, True, False]
