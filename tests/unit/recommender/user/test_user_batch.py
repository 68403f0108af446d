"""Offline and online features of a request are equal, array by array."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender.user.user_batch import UserBatch, user_batch_from_online
from sequences.feature_services import ServiceContract
from sequences.sequence_views import SEQUENCE_VIEWS
from tests.support.sequences.event_rows import at, event_rows, oracle_values, us, write_events
from tests.support.sequences.feast_stores import sqlite_store
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.recipes import recipe

CONTRACT = ServiceContract(tuple(SEQUENCE_VIEWS), ())
USERS, TRACKS = ("u1", "u2"), ("t0", "t1", "t2")
BEHAVIORS = ("full_play", "play", "skip", "click", "like", "dislike", "block", "impression_without_click")
DAY = 86_400
CLICK = event_rows([{"event_id": "e", "user_id": "u1", "second": 60, "sequence_number": 0, "behavior": "click"}])

event = st.builds(
    lambda user, second, number, behavior, target, ratio, scene: {
        "user_id": user,
        "second": second,
        "sequence_number": number,
        "behavior": behavior,
        "target_id": target,
        "target_type": "artist" if behavior == "block" else "track",
        "played_ratio": ratio if behavior in ("full_play", "play", "skip") else None,
        "scene": scene,
    },
    user=st.sampled_from(USERS),
    second=st.integers(1, 9).map(lambda n: n * 60),
    number=st.integers(0, 2),
    behavior=st.sampled_from(BEHAVIORS),
    target=st.sampled_from([*TRACKS, "never trained on"]),
    ratio=st.sampled_from([None, 0.25, 1.0]),
    scene=st.sampled_from([None, "daily"]),
)


def contents(batch: UserBatch) -> list[Any]:
    """Everything in a batch, arrays with their types."""

    def typed(columns: dict[str, np.ndarray]) -> dict[str, tuple[np.dtype[Any], list[Any]]]:
        return {name: (values.dtype, values.tolist()) for name, values in columns.items()}

    views = {name: (view.length_B.tolist(), typed(view.columns)) for name, view in batch.views.items()}
    return [batch.user_ids, batch.scene_B, batch.request_at_B.tolist(), views, typed(batch.profile)]


def training_data(folder: Path, rows: list[dict[str, Any]], contract: ServiceContract) -> TrainingData:
    write_events(folder / "events.parquet", rows)
    names = {name: list(TRACKS) for name in ("track_id", "title", "artist_id")}
    pl.DataFrame(names | {"artist_names": [["A"]] * 3, "is_in_catalog": [True] * 3}).write_parquet(
        folder / "tracks.parquet"
    )
    when = [rows[0]["known_at"]]
    play = {"user_id": ["u1"], "play_number": [0], "track_id": ["t0"], "known_at": when, "request_at": when}
    play |= {"part": ["train"], "is_listened": [True], "behavior": ["play"], "played_ratio": [0.5]}
    pl.DataFrame(play | {"session_id": ["s"], "scene": ["daily"]}).write_parquet(folder / "plays.parquet")
    return TrainingData(folder, "held_out", recipe("debug"), services={"recommender": contract})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    history=st.lists(event, min_size=1, max_size=30),
    requests=st.lists(
        st.tuples(
            st.sampled_from([*USERS, "unknown"]),
            st.integers(0, 10).map(lambda n: 60 * n) | st.sampled_from([DAY, DAY + 60]),
            st.integers(-1, 1),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_online_lists_equal_the_offline_reader(history: Any, requests: Any) -> None:
    for number, row in enumerate(history):
        row["event_id"] = f"e{(number * 7919) % 997:03d}"
    rows = event_rows(history)
    with tempfile.TemporaryDirectory() as name:
        data = training_data(Path(name), rows, CONTRACT)
        users = [user for user, _, _ in requests]
        times = np.array([us(second) + step for _, second, step in requests], dtype=np.int64)
        scenes = ["", "daily"] * 3
        offline = OfflineFeatures(data).load_user_batch("recommender", users, times, scenes[: len(users)])
        online = user_batch_from_online(
            data.vocabulary,
            CONTRACT,
            users,
            times,
            sequences=[
                {name: oracle_values(rows, view, user, time) for name, view in SEQUENCE_VIEWS.items()}
                for user, time in zip(users, times.tolist(), strict=True)
            ],
            scenes=scenes[: len(users)],
        )
        assert contents(offline) == contents(online)


def test_profiles_are_equal_and_zero_for_unknown_users(tmp_path: Path) -> None:
    contract = ServiceContract(("recent_clicks",), ("user_profile:plays_total",))
    profiles = {"user_id": ["u1", "u1"], "known_at": [at(86_400), at(2 * 86_400)], "plays_total": [3, 9]}
    pl.DataFrame(profiles).write_parquet(tmp_path / "user_profiles.parquet")
    data = training_data(tmp_path, CLICK, contract)
    features = OfflineFeatures(data)
    features.store = sqlite_store(tmp_path, SEQUENCE_VIEWS)
    users, times = ["u1", "unknown", "u1", "u1"], np.array([us(second) for second in (60, 90_000, 90_000, 172_800)])
    offline = features.load_user_batch("recommender", users, times)
    online = user_batch_from_online(
        data.vocabulary,
        contract,
        users,
        times,
        sequences=[
            {"recent_clicks": oracle_values(CLICK, SEQUENCE_VIEWS["recent_clicks"], user, time)}
            for user, time in zip(users, times.tolist(), strict=True)
        ],
        profiles=[{"user_profile__plays_total": value} for value in (None, None, 3, 9)],
    )
    assert contents(offline) == contents(online)
    assert offline.profile["user_profile__plays_total"].tolist() == [0, 0, 3, 9]


def test_missing_views_and_values_are_empty(tmp_path: Path) -> None:
    contract = ServiceContract(("recent_clicks", "exclusions"), ("user_profile:plays_total",))
    found = user_batch_from_online(
        training_data(tmp_path, CLICK, contract).vocabulary, contract, ["u1"], np.array([us(90)]), sequences=[{}]
    )
    assert [batch.length_B.tolist() for batch in found.views.values()] == [[0], [0]]
    assert found.profile["user_profile__plays_total"].tolist() == [0.0] and found.scene_B == []
