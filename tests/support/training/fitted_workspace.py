"""A workspace with models fitted on random plays of a few dozen users: the smallest pipeline from marts to a release."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recommender.recall.registry import COLLECTIONS
from sequences.feature_services import ServiceContract
from tests.support.training.evaluation_marts import Play, write
from training.data.training_data import TrainingData
from training.recipes import recipe
from training.train import train
from training.workspace import Workspace

TRACKS, USERS, SESSIONS = 60, 24, 20
ARTISTS = {f"{track:03}": f"a{track % 9}" for track in range(TRACKS)}
VIEWS = ("recent_events", "recent_clicks", "recent_negatives", "played_history")


def plays(seed: int) -> list[Play]:
    """Plays of users with a few favorites: sessions of four plays every two days in alternating scenes; the last are
    held out.
    """
    random = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        favorites = random.choice(TRACKS, size=8, replace=False)
        for session in range(SESSIONS):
            scene = "private_fm" if session % 2 else "daily"
            part = "train" if session < 14 else "validation" if session < 17 else "test"
            for number in range(4):
                track = int(random.choice(favorites) if random.random() < 0.7 else random.integers(TRACKS))
                played_ms = 5_000 if random.random() < 0.3 else 60_000
                context = f"playlist:p{track % 5}" if scene == "daily" else None
                rows.append(
                    Play(
                        f"{user:02}",
                        48 * session + number / 10,
                        f"{track:03}",
                        session,
                        part,
                        played_ms,
                        scene,
                        context,
                    )
                )
    return rows


def small_data(folder: Path, change: str | None = None, seed: int = 0) -> TrainingData:
    """Held-out data of marts of these plays; all plays of the part `change` have another track."""
    rows = [
        replace(play, track=f"{(int(play.track) + 7) % TRACKS:03}") if play.part == change else play
        for play in plays(seed)
    ]
    return TrainingData(write(folder, rows, ARTISTS), "held_out", recipe("debug"))


def use_without_registry(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a home whose features are read by the dense reader only, without a Feast registry."""
    monkeypatch.setenv("SEGUE_HOME", str(home))
    monkeypatch.setattr(ServiceContract, "of", classmethod(lambda cls, store, service: cls(VIEWS)))
    monkeypatch.setattr("training.data.offline_features.OfflineFeatures.store", None)


def workspace(home: Path, monkeypatch: pytest.MonkeyPatch, ranker: str = "sum_pooling") -> Workspace:
    """Marts, and both fits of three channels, playlists, mlogs, a ranker and the listwise head in `home`.

    Features are read by the dense reader only, without a Feast registry.
    """
    for name in [name for name in os.environ if name.startswith(("SEGUE_", "MLFLOW_", "BENTOML_"))]:
        monkeypatch.delenv(name)
    use_without_registry(home, monkeypatch)
    write(home / "marts", plays(0), ARTISTS)
    pl.DataFrame({"split": ["user_time"]}).write_parquet(home / "marts" / "time_split.parquet")
    landing = {"landing_id": ["l"], "format": ["play_log"], "split": ["user_time"], "landed": [9], "quarantined": [1]}
    pl.DataFrame(landing | {"landed_at": [datetime(2026, 6, 9)]}).write_parquet(home / "marts" / "landings.parquet")
    playlists = {f"p{number}": [f"{track:03}" for track in range(number, TRACKS, 5)] for number in range(5)}
    columns = {"playlist_id": list(playlists), "title": [f"Every fifth, {name}" for name in playlists]}
    pl.DataFrame(columns | {"track_ids": list(playlists.values())}).write_parquet(home / "marts" / "playlists.parquet")
    here = Workspace.open(recipe="debug")
    for fit in ("held_out", "final"):
        for channel in ("popularity", "favorites", "realtime"):
            train(here, "channel", channel, fit)
        for collection in COLLECTIONS:
            train(here, "collection", collection, fit)
        train(here, "ranker", ranker, fit)
        train(here, "head", "listened", fit)
    return here
