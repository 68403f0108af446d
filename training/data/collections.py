"""Playlists and mlogs: what holds tracks and is opened as one, and who opened which when.

Legend: N containers, of which 0 is none and 1 unknown, so that they go where items go. Times int64 µs since 1970, UTC.
Knows nothing about how they are recommended.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from sequences.batch import FIRST_CODE
from sequences.behaviours import load_behaviours
from training.data.plays import PARTS
from training.data.ragged import Ragged
from training.data.recall_cases import CASE_KINDS, RecallCases
from training.data.training_data import COLLECTION_MARTS, TrainingData

COLLECTIONS_FILE = "containers.parquet"


@dataclass(frozen=True)
class Collections:
    """The containers of one `kind` (`playlist` or `mlog`) that hold a track of the catalogue; `tracks[n]` are the items of
    container n that do, in its order.
    """

    kind: str
    ids_N: np.ndarray
    titles_N: np.ndarray
    tracks: Ragged

    @classmethod
    def of(cls, data: TrainingData, kind: str) -> Self:
        """What the marts have of a kind, by id; none where there is no such mart."""
        path = data.marts / f"{COLLECTION_MARTS[kind]}.parquet"
        rows: list[tuple[str, str, list[int]]] = []
        if path.exists():
            table = pl.read_parquet(path, columns=[f"{kind}_id", "title", "track_ids"]).sort(f"{kind}_id")
            for name, title, track_ids in table.iter_rows():
                items = data.vocabulary.encode(list(dict.fromkeys(track_ids or [])))
                rows.append((name, title or "", items[data.catalog_V[items]].tolist()))
        return cls._from_rows(kind, [row for row in rows if row[2]])

    @classmethod
    def _from_rows(cls, kind: str, rows: list[tuple[str, str, list[int]]]) -> Self:
        offset = np.cumsum([0, 0, 0, *(len(items) for _, _, items in rows)], dtype=np.int64)
        return cls(
            kind,
            np.array(["", "", *(name for name, _, _ in rows)], dtype=object),
            np.array(["", "", *(title for _, title, _ in rows)], dtype=object),
            Ragged(np.array([item for _, _, items in rows for item in items], dtype=np.int64), offset),
        )

    def __len__(self) -> int:
        """N, the two reserved ones included."""
        return len(self.ids_N)

    @property
    def number_by_id(self) -> dict[str, int]:
        """Id ▸ number."""
        return {name: number for number, name in enumerate(self.ids_N.tolist()) if number >= FIRST_CODE}

    def save(self, folder: Path) -> None:
        """One Parquet file in `folder`."""
        columns = {"id": self.ids_N[FIRST_CODE:].tolist(), "title": self.titles_N[FIRST_CODE:].tolist()}
        lists = [self.tracks[number].tolist() for number in range(FIRST_CODE, len(self))]
        texts = {"id": pl.String, "title": pl.String}
        frame = pl.DataFrame(columns | {"items": lists}, schema_overrides={**texts, "items": pl.List(pl.Int64)})
        frame.write_parquet(folder / COLLECTIONS_FILE)

    @classmethod
    def load(cls, folder: Path, kind: str) -> Self:
        """What `save` wrote."""
        return cls._from_rows(kind, list(pl.read_parquet(folder / COLLECTIONS_FILE).iter_rows()))


@dataclass(frozen=True, eq=False)
class CollectionIndex:
    """The containers that a release recommends under one name, and how often each was opened: what can be shown of them where nobody
    recalls any.

    `needs_every_track`: whether one can only be shown where all its tracks may be played.
    """

    name: str
    collections: Collections
    open_count_N: np.ndarray
    requires_all_tracks: bool

    @cached_property
    def popular_K(self) -> np.ndarray:
        """All of them by number, the most opened first."""
        order_N = np.lexsort((np.arange(len(self.collections)), -self.open_count_N))
        popular_K: np.ndarray = order_N[order_N >= FIRST_CODE]
        return popular_K


def build_collection_cases(data: TrainingData, containers: Collections, part: str) -> RecallCases:
    """Each time in `part` that a user opened a container, by user and time: one target a case, its number, which is a `repeat` if the
    user had opened it before, else a `discovery` (and `reachable`).

    Opened is what was clicked, liked, collected, shared or downloaded, and what a track was played from; all of it within
    a session's gap is one opening. It is asked for before the first of these events, so that nothing of the opening
    itself is known to the request.

    Raises:
        ValueError: no such part.
    """
    if part not in PARTS:
        raise ValueError(f"part={part!r} is unknown; choose one of {', '.join(PARTS)}")
    rows = _collection_opens(data, containers).filter(pl.col("part") == part)
    number_C, is_new_C = rows["number"].to_numpy(), rows["is_first"].to_numpy()
    masks = dict(zip(CASE_KINDS, (np.ones(len(rows), dtype=bool), ~is_new_C, is_new_C, is_new_C), strict=True))
    return RecallCases(
        user_ids=rows["user_id"].to_numpy().astype(object),
        user_C=rows["user_id"].rle_id().to_numpy().astype(np.int64),
        play_number_C=rows["event_number"].to_numpy().astype(np.int64),
        request_at_C=rows["request_at"].cast(pl.Datetime("us")).cast(pl.Int64).to_numpy(),
        scenes=rows["scene"].to_numpy().astype(object),
        items={
            kind: Ragged(number_C[mask_C], np.concatenate([[0], np.cumsum(mask_C, dtype=np.int64)]))
            for kind, mask_C in masks.items()
        },
    )


def _collection_opens(data: TrainingData, containers: Collections) -> pl.DataFrame:
    """A row an opening: user_id, event_number, request_at, scene, number, is_first, part."""
    if not containers.number_by_id:
        texts = [(name, pl.String()) for name in ("user_id", "scene", "part")]
        numbers = [(name, pl.Int64()) for name in ("event_number", "number")]
        return pl.DataFrame(schema=[*texts, *numbers, ("request_at", pl.Datetime("us")), ("is_first", pl.Boolean())])
    kind, known = containers.kind, load_behaviours()
    from_it = pl.col("context_id").str.strip_prefix(f"{kind}:")
    opening = [row.behaviour for row in known.rows if row.action != "play" and row.polarity != "negative"]
    is_itself = (pl.col("target_type") == kind) & pl.col("behaviour").is_in(opening)
    is_played_from = (pl.col("action") == "play") & pl.col("context_id").str.starts_with(f"{kind}:")
    events = data.scan_mart("events").filter(is_itself | is_played_from)
    name = pl.when(is_itself).then(pl.col("target_id")).otherwise(from_it)
    events = events.select("user_id", "event_number", "known_at", "request_at", "scene", name=name)
    number_of = pl.DataFrame(
        {"name": list(containers.number_by_id), "number": list(containers.number_by_id.values())},
        schema={"name": pl.String, "number": pl.Int64},
    )
    before = pl.col("known_at").shift().over("user_id", "name")
    gap = pl.duration(minutes=known.session_gap_minutes)
    rows = events.collect().join(number_of, on="name").sort("user_id", "event_number")
    rows = rows.with_columns(is_first=before.is_null(), is_opening=(pl.col("known_at") - before > gap).fill_null(True))
    return _assign_parts(data, rows.filter("is_opening"))


def _assign_parts(data: TrainingData, rows: pl.DataFrame) -> pl.DataFrame:
    """With `part`: on a clock for all by its cuts, on each user's own time from the request of the part's first play on."""
    if data.fit == "final":
        return rows.with_columns(part=pl.lit("train"))
    (cut,) = pl.read_parquet(data.marts / "train_cuts.parquet").iter_rows(named=True)
    if cut["split"] == "user_time":
        plays = data.scan_mart("plays").group_by("user_id")
        own = plays.agg(
            pl.col("request_at").filter(pl.col("part") == part).min().alias(f"{part}_from") for part in PARTS[1:]
        )
        rows = rows.join(own.collect(), on="user_id", how="left", maintain_order="left")
    else:
        rows = rows.with_columns(pl.lit(cut[f"{part}_from"]).alias(f"{part}_from") for part in PARTS[1:])
    is_in = [pl.col("request_at") >= pl.col(f"{part}_from") for part in PARTS[1:]]
    part = pl.when(is_in[1]).then(pl.lit("test")).when(is_in[0]).then(pl.lit("validation")).otherwise(pl.lit("train"))
    return rows.with_columns(part=part)
