"""A tiny world: random plays of a few users, three artists, written as marts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import torch

from recommender.ranking.features.ranking_features import VIEWS
from recommender.ranking.features.track_statistics import COUNTS
from recommender.ranking.registry import RANKERS
from recommender.recall.registry import CHANNELS
from recommender.user.user_batch import UserBatch
from sequences.feature_services import ServiceContract
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.networks.item_tower import ItemCodes

START = datetime(2024, 1, 1, 8)
TRACKS = 40
CONTENT_TYPES = {"lyrics": pl.String, "audio_vector": pl.List(pl.Float32), "image_vector": pl.List(pl.Float32)}
NEVER = 4_000_000_000_000_000
SERVICES = dict.fromkeys(CHANNELS, ServiceContract(("recent_events", "recent_clicks", "played_history"))) | {
    "popularity": ServiceContract(("recent_events",)),
    "favorites": ServiceContract(("played_history",)),
    "knowledge_graph": ServiceContract(("recent_events", "played_history")),
    "multi_interest": ServiceContract(("recent_events", "played_history")),
    **dict.fromkeys(RANKERS, ServiceContract(VIEWS)),
}


def write_marts(folder: Path, plays: list[tuple[str, str, datetime, int]]) -> Path:
    """Marts of `plays` (user, track, end, played_ms), split per user, with a session gap of 30 minutes.

    Only track t3 has statistics.
    """
    rows = []
    for user in sorted({play[0] for play in plays}):
        user_plays = [play for play in plays if play[0] == user]
        session, previous = 0, None
        for number, (_, track, ended, played) in enumerate(user_plays):
            request = ended - timedelta(milliseconds=played)
            if previous is not None:
                request = max(request, previous + timedelta(microseconds=1))
                session += request - previous > timedelta(minutes=30)
            share = number / len(user_plays)
            rows.append(
                {
                    "event_id": f"{user}-{number:05d}",
                    "user_id": user,
                    "play_number": number,
                    "event_number": number,
                    "known_at": ended,
                    "request_at": request,
                    "occurred_at": request,
                    "ended_at": ended,
                    "action": "play",
                    "behavior": "skip" if played < 30_000 else "full_play",
                    "target_type": "track",
                    "target_id": track,
                    "track_id": track,
                    "artist_id": artist(track),
                    "played_ms": played,
                    "played_ratio": min(1.0, played / 180_000),
                    "is_listened": played >= 30_000,
                    "session_id": f"{user}-{session}",
                    "scene": None,
                    "part": "train" if share < 0.8 else "validation" if share < 0.9 else "test",
                }
            )
            previous = ended
    table = pl.DataFrame(rows, schema_overrides={"scene": pl.String, "played_ratio": pl.Float32})
    times = [pl.col(name).cast(pl.Datetime("us")) for name in ("known_at", "request_at", "occurred_at", "ended_at")]
    table = table.with_columns(times).sort("user_id", "known_at")
    table.write_parquet(folder / "events.parquet", mkdir=True)
    table.write_parquet(folder / "plays.parquet")
    played_tracks = set(table.filter(pl.col("part") != "test")["track_id"].to_list())
    ids = sorted({play[1] for play in plays} | {f"t{n}" for n in range(TRACKS)})
    facets = {name: [[] for _ in ids] for name in ("styles", "scenes", "emotions", "themes")}
    facets |= {"languages": [["mandarin" if int(track[1:]) % 2 else "western"] for track in ids]}
    pl.DataFrame(
        {
            "track_id": ids,
            "title": [f"Song {track}" for track in ids],
            "artist_id": [artist(track) for track in ids],
            "artist_names": [[f"Band {artist(track)}"] for track in ids],
            "is_in_catalog": [track in played_tracks for track in ids],
            "available_from": [None for _ in ids],
            "released_on": [None for _ in ids],
            **{name: [None for _ in ids] for name in CONTENT_TYPES},
            **facets,
        },
        schema_overrides=dict.fromkeys(facets, pl.List(pl.String))
        | {"available_from": pl.Datetime("us"), "released_on": pl.Date}
        | CONTENT_TYPES,
    ).write_parquet(folder / "tracks.parquet")
    pl.DataFrame(
        {"track_id": ["t3"], "known_at": pl.Series([START], dtype=pl.Datetime("us"))} | {name: [2] for name in COUNTS}
    ).write_parquet(folder / "track_statistics.parquet")
    triples = [(f"track:{track}", "performed_by", f"artist:{artist(track)}") for track in ids]
    triples += [(f"artist:{name}", "has_genre", "genre:rock") for name in sorted({artist(track) for track in ids})]
    pl.DataFrame(triples, schema=["head", "relation", "tail"], orient="row").write_parquet(
        folder / "knowledge_triples.parquet"
    )
    return folder


def described(folder: Path, plays: list[tuple[str, str, datetime, int]]) -> Path:
    """The same marts with lyrics and audio vectors of every track, and with all tracks in the catalog."""
    marts = write_marts(folder, plays)
    tracks = pl.read_parquet(marts / "tracks.parquet")
    sound = np.random.default_rng(1).normal(size=(len(tracks), 4))
    number = tracks["track_id"].str.slice(1).cast(pl.Int64)
    tracks.with_columns(
        lyrics=pl.Series([f"la la {'moon' if value % 3 else 'sun'} {value % 5}" for value in number]),
        audio_vector=pl.Series(sound.tolist(), dtype=pl.List(pl.Float32)),
        is_in_catalog=pl.lit(True),
    ).write_parquet(marts / "tracks.parquet")
    return marts


def artist(track: str) -> str:
    """Artist of a track: tracks 0, 3, 6 … are by a0."""
    return f"a{int(track[1:]) % 3}"


def random_plays(seed: int = 0, users: int = 4, count: int = 150) -> list[tuple[str, str, datetime, int]]:
    """Random plays in sessions of five, two hours apart; each user prefers a third of the tracks."""
    generator = np.random.default_rng(seed)
    plays = []
    for user in range(users):
        now = START
        for number in range(count):
            now += timedelta(hours=2) if number % 5 == 0 else timedelta(seconds=1)
            played = 20_000 if generator.random() < 0.3 else 180_000
            now += timedelta(milliseconds=played)
            track = 3 * int(generator.integers(TRACKS // 3)) + (user % 3 if generator.random() < 0.8 else 0)
            plays.append((f"u{user}", f"t{track}", now, played))
    return plays


def users_at(data: TrainingData, service: str, user_ids: list[str], times: list[int]) -> UserBatch:
    """User batch of requests at `times` (µs UTC)."""
    return OfflineFeatures(data).load_user_batch(service, user_ids, np.array(times, dtype=np.int64))


def item_codes(tracks: int) -> ItemCodes:
    """Codes of tracks without facets; two tracks per artist."""
    every = torch.arange(tracks)
    return ItemCodes(every, torch.where(every > 1, every // 2 + 1, every), torch.zeros((tracks, 0), dtype=torch.int64))
