"""A small hand-made release: channels with fixed lists, real fusion and blend."""

import threading
from collections.abc import Sequence
from unittest import mock

import numpy as np
import polars as pl
from prometheus_client import CollectorRegistry

from recommender.catalog.catalog import Catalog
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.channel import RecallChannel, pad_rows
from recommender.recall.continuation.source import SimilarItems
from recommender.recall.reason import Reason
from recommender.search.query_parser import Query
from recommender.slate.fusion import Fusion
from recommender.slate.ranker_blend import Blend
from sequences.feature_services import ServiceContract
from sequences.online.reader import StoredUser
from serving.observability.degraded_parts import Degradation
from serving.observability.metrics import Metrics
from serving.releases.served_release import ServedRelease

CONTRACT = ServiceContract(("recent_events", "played_history", "exclusions"), ("user_profile:plays_total",))


def tracks(count: int, **columns) -> pl.DataFrame:
    """`count` tracks t0 …, track n by artist a(n // 2), unless `columns` overrides a column."""
    rows = {
        "track_id": [f"t{n}" for n in range(count)],
        "title": [f"Song {n}" for n in range(count)],
        "artist_id": [f"a{n // 2}" for n in range(count)],
        "artist_ids": [[f"a{n // 2}"] for n in range(count)],
        "artist_names": [[f"Artist {n // 2}"] for n in range(count)],
        "is_in_catalog": [True] * count,
    }
    return pl.DataFrame(rows | columns)


class ListChannel(RecallChannel):
    """Finds fixed tracks for every user. Optionally fails, waits for an event, has similar items, or gives another reason."""

    feature_service = "recommender"

    def __init__(
        self,
        name: str,
        items: Sequence[int],
        is_failing=False,
        until: threading.Event | None = None,
        near=None,
        reason=None,
    ):
        self.name, self.items, self.is_failing, self.until = name, items, is_failing, until
        self.nearest, self.reason = near or {}, reason or Reason("fits_title", {"title": name})
        self.calls = []

    def similar_items(self, items, k):
        return pad_rows([np.array(self.nearest.get(int(items[0]), []), dtype=np.int64)], k)

    def recall(self, users, k):
        self.calls.append(users)
        if self.until is not None:
            self.until.wait()
        if self.is_failing:
            raise RuntimeError(f"{self.name} is out of order")
        return pad_rows([np.array(self.items, dtype=np.int64)] * len(users), k)

    def reasons(self, user, items):
        return [self.reason] * len(items)

    config = fit = save = load = None  # it is made by hand


class CircleChannel(ListChannel):
    """A channel with vectors on a quarter of a circle, in the order of the items; it has `count` of them."""

    def __init__(self, name: str, items: Sequence[int], count: int, **options):
        super().__init__(name, items, **options)
        self.count = count

    def items_between(self, first, last, points, k):
        return np.array([[first, *(one for one in range(2, self.count + 2) if one not in (first, last)), last]])

    def item_vectors(self, items):
        angle = np.pi / 2 * (items - 2) / (self.count - 1)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


class FavourRanker:
    """Prefers one item, and others by other tasks."""

    def __init__(self, item: int, is_failing: bool = False, **items: int):
        self.items, self.is_failing = {"not_skipped": item} | items, is_failing

    def score(self, users, items_BC):
        if self.is_failing:
            raise RuntimeError("the ranker is out of order")
        return {task: (items_BC == item).astype(np.float32) for task, item in self.items.items()}


def release(table: pl.DataFrame, channels: Sequence[RecallChannel], **parts) -> ServedRelease:
    """A release over these tracks; unless a vocabulary is given, item n + 2 is track n, as plays are equal and ids sort so (up to
    t9).
    """
    plays = pl.DataFrame({"track_id": table["track_id"]})
    vocabulary = parts.get("vocabulary") or Vocabulary.build(table, plays)
    find_nothing = mock.Mock(return_value=[])
    whole = {
        "release_id": "r1",
        "channels": {channel.name: channel for channel in channels},
        "fusion": Fusion(),
        "ranker": None,
        "blend": Blend(0.0),
        "vocabulary": vocabulary,
        "catalog": Catalog.build(table, vocabulary),
        "contract": CONTRACT,
        "search": mock.Mock(parse=lambda *_: Query(), search=find_nothing, rank=find_nothing, items_named=find_nothing),
        "continuation_sources": {channel.name: SimilarItems(channel) for channel in channels},
    }
    return ServedRelease(**(whole | parts))


def degradation() -> Degradation:
    """An empty record of degraded parts, with its own metrics."""
    return Degradation(Metrics(CollectorRegistry()))


EXCLUSION_COLUMNS = ("event_id", "target_type", "target_id", "track_id", "behavior", "ended_at")


class MemoryStore:
    """An in-memory online store: user → views."""

    def __init__(self):
        self.users, self.recent, self.is_away = {}, {}, False

    def report(self, events):
        """Add blocks, dislikes and the like, which are read from the event store."""
        for event in events:
            rows = self.recent.setdefault(event["user_id"], {name: [] for name in EXCLUSION_COLUMNS})
            is_track = event["target_type"] == "track"
            row = event | {"behavior": event["action"], "track_id": event["target_id"] if is_track else ""}
            for name, column in rows.items():
                column.append(row.get(name) or f"e{len(column)}")

    def read(self, user_id, known=None):
        if self.is_away:
            raise ConnectionError("store is away")
        views = {"user_profile": {"plays_total": [5]}} | self.users.get(user_id, {})
        if recent := self.recent.get(user_id):
            before = views.get("exclusions") or {name: [] for name in EXCLUSION_COLUMNS}
            views = views | {"exclusions": {name: [*before[name], *recent[name]] for name in EXCLUSION_COLUMNS}}
        return StoredUser(lambda: views, repr(views), rows=("2026-05-04", 7))

    def read_events(self, user_id):
        return StoredUser(lambda: {"exclusions": self.recent.get(user_id, {})})


def view(name: str, *events: dict, **shared) -> dict:
    """A view with these events, oldest first; `shared` are columns of all of them, the others have defaults."""
    rows = [
        {
            "event_id": f"{name}{number}",
            "target_type": "track",
            "target_id": "",
            "track_id": "",
            "behavior": "full_play",
            "occurred_at": number,
            "ended_at": number,
            "played_ratio": None,
            "scene": "",
        }
        | shared
        | event
        for number, event in enumerate(events)
    ]
    return {name: {column: [row[column] for row in rows] for column in rows[0]} if rows else {}}


def history(*track_ids: str) -> dict:
    """Views of a user with these full plays."""
    return view("played_history", *({"track_id": track} for track in track_ids), played_ratio=1.0)


def clicked(*targets: tuple[str, str]) -> dict:
    """Views of a user with clicks on these (type, id) targets, after all other events."""
    at = ({"occurred_at": 1_000_000 + number, "ended_at": 1_000_000 + number} for number in range(len(targets)))
    events = (
        {"target_type": kind, "target_id": target} | time for (kind, target), time in zip(targets, at, strict=True)
    )
    return view("recent_clicks", *events, behavior="click")


def marked(*marks: tuple[str, str, str]) -> list[dict]:
    """Events of the views `exclusions` and `library`: (behavior, target type, target id), oldest first."""
    return [
        {"behavior": behavior, "target_type": kind, "target_id": target, "track_id": target if kind == "track" else ""}
        for behavior, kind, target in marks
    ]


def excluded(*targets: tuple[str, str]) -> dict:
    """Views of a user who blocked these (type, id) targets."""
    return view("exclusions", *marked(*(("block", kind, target) for kind, target in targets)))
