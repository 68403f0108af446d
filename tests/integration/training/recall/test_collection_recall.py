"""Collections, their openings and their recall, on small examples and on a simulated world."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recommender.catalog.collections import Collections
from recommender.recall.collection_recall import OPENING_DECAY, CollectionRecall, Mlogs, Playlists
from recommender.recall.realtime import Realtime
from serving.messages import render_reason
from tests.support.training.collection_world import MLOGS, PLAYLISTS, collection_marts, of
from tests.support.training.tiny_world import NEVER, random_plays, users_at
from training.data.collection_cases import build_collection_cases, read_collections
from training.data.training_data import TrainingData
from training.recall.collections import fit_collection
from training.recipes import config_of
from training.train import fit_channel

NOON = datetime(2024, 1, 20, 12)


def describe_cases(data: TrainingData, collections: Collections, part: str) -> list[tuple[str, str, bool, datetime]]:
    """User, collection id, whether it is a repeat, and request time of each case."""
    cases = build_collection_cases(data, collections, part)
    return [
        (
            cases.user_ids[case],
            collections.ids_N[cases.items["targets"][case][0]],
            bool(len(cases.items["repeat"][case])),
            datetime(1970, 1, 1) + timedelta(microseconds=int(cases.request_at_C[case])),
        )
        for case in range(len(cases))
    ]


def test_collections_hold_catalog_tracks(tmp_path: Path) -> None:
    data = of(collection_marts(tmp_path / "marts", []))
    found = read_collections(data, "playlist")
    code = data.vocabulary.track_code
    for name, number in found.number_by_id.items():
        known = [code[track] for track in PLAYLISTS[name] if track in code and data.catalog_V[code[track]]]
        assert found.tracks[number].tolist() == known != []
    assert {"p91", "p92"}.isdisjoint(found.number_by_id)
    assert data.vocabulary.collection_ids_N[2:].tolist() == sorted({*PLAYLISTS, *MLOGS})


def test_opening_is_a_click_or_play_until_a_session_gap(tmp_path: Path) -> None:
    minute, just_before = timedelta(minutes=1), timedelta(microseconds=1)
    opened = [
        ("u0", "impression", "playlist:p0", NOON, ""),
        ("u0", "click", "playlist:p1", NOON + minute, ""),
        ("u0", "play", "track:t1", NOON + 5 * minute, "playlist:p1"),
        ("u0", "collect", "playlist:p1", NOON + 20 * minute, ""),
        ("u0", "play", "track:t1", NOON + 80 * minute, "playlist:p1"),
        ("u0", "click", "mlog:p1", NOON + 82 * minute, ""),
        ("u0", "block", "playlist:p2", NOON + 83 * minute, ""),
        ("u0", "click", "playlist:p91", NOON + 84 * minute, ""),
        ("u1", "click", "playlist:p1", NOON + 2 * minute, ""),
    ]
    data = of(collection_marts(tmp_path / "marts", opened), "final")
    assert describe_cases(data, read_collections(data, "playlist"), "train") == [
        ("u0", "p1", False, NOON + minute - just_before),
        ("u0", "p1", True, NOON + 80 * minute - just_before),
        ("u1", "p1", False, NOON + 2 * minute - just_before),
    ]
    assert [row[:2] for row in describe_cases(data, read_collections(data, "mlog"), "train")] == [("u0", "p1")]


@pytest.mark.parametrize("split", ["user_time", "global_time"])
def test_opening_belongs_to_the_part_of_its_request(tmp_path: Path, split: str) -> None:
    data = of(marts := collection_marts(tmp_path / "marts", [], split))
    if split == "user_time":
        plays = pl.read_parquet(marts / "plays.parquet").filter(user_id="u2")
        validation, test = (plays.filter(part=part)["request_at"].min() for part in ("validation", "test"))
    else:
        validation, test = datetime(2024, 1, 19), datetime(2024, 1, 21)
    moment = timedelta(microseconds=1)
    # The request is one microsecond before the event.
    opened = [
        ("u2", "click", f"playlist:p{n}", at, "")
        for n, at in enumerate([validation, validation + moment, test, test + moment])
    ]
    data = of(collection_marts(tmp_path / "again", opened, split))
    collections = read_collections(data, "playlist")
    assert {
        part: [row[1] for row in describe_cases(data, collections, part)] for part in ("train", "validation", "test")
    } == {"train": ["p0"], "validation": ["p1", "p2"], "test": ["p3"]}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingData, Realtime]:
    """The tiny world, where p3 was opened often, p4 once, and p5 last by all users; u0 played nothing since."""
    folder = tmp_path_factory.mktemp("collections")
    after = max(play[2] for play in random_plays() if play[0] == "u0") + timedelta(minutes=1)
    opened = [("u1", "click", "playlist:p3", NOON - timedelta(days=18, hours=-2 * n), "") for n in range(3)]
    opened += [("u2", "click", "playlist:p4", NOON - timedelta(days=18), ""), ("u0", "click", "playlist:p5", after, "")]
    data = of(collection_marts(folder / "marts", opened))
    return data, fit_channel(Realtime, data, config_of(Realtime, "debug"), folder / "realtime")


def test_recall_is_nearest_to_realtime_query_and_openings(small: tuple[TrainingData, Realtime]) -> None:
    data, realtime = small
    config = replace(config_of(Playlists, "small"), opened_weight=0.3, popular_weight=0.2)
    recaller = fit_collection(Playlists, data, config, realtime)
    assert recaller.resolved_config == config
    users = users_at(data, "realtime", ["u0", "u1", "u2"], [NEVER] * 3)
    found = recaller.recall(users, 20)
    _, query = realtime.encode_queries(users)

    def unit(vector: np.ndarray) -> np.ndarray:
        return vector / max(np.linalg.norm(vector), 1e-12)

    def vector_of(name: str) -> np.ndarray:
        tracks = [data.vocabulary.track_code.get(track, 1) for track in PLAYLISTS[name]]
        return unit(sum(realtime.item_vectors([one])[0] for one in tracks if data.catalog_V[one]))

    # u0 opened p5 after the last play, u1 p3 three times long before it and u2 p4 once.
    weights = {0: {"p5": 1.0}, 1: {"p3": 0.3 * (1 + OPENING_DECAY + OPENING_DECAY**2)}, 2: {"p4": 0.3}}
    times = {"p3": 3, "p4": 1}
    for row, weight in weights.items():
        blended = unit(query["next"][row, 0]) + sum(one * vector_of(name) for name, one in weight.items())
        score = {
            name: unit(blended) @ vector_of(name) + 0.2 * np.log1p(times.get(name, 0)) / np.log1p(3)
            for name in recaller.collections.number_by_id
        }
        assert [recaller.collections.ids_N[number] for number in found[row] if number] == sorted(
            score, key=lambda name: -score[name]
        )


@pytest.mark.parametrize("kind", [Playlists, Mlogs])
def test_recall_does_not_depend_on_batch_and_survives_saving(
    small: tuple[TrainingData, Realtime], tmp_path: Path, kind: type[CollectionRecall]
) -> None:
    data, realtime = small
    recaller = fit_collection(kind, data, config_of(kind, "debug"), realtime)
    users = users_at(data, "realtime", ["u0", "unknown_user", "u1", "u3"], [NEVER] * 4)
    together = recaller.recall(users, 40)
    recaller.save(tmp_path)
    loaded = kind.load(tmp_path, realtime)
    for row in range(4):
        alone = loaded.recall(users.take([row]), 40)[0]
        real = alone[alone > 0].tolist()
        assert alone.tolist() == together[row].tolist()
        assert len(set(real)) == len(real) == len(recaller.collections) - 2
        assert all(render_reason(reason, "en") for reason in recaller.reasons(users.take([row]), real))
