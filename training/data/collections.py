"""Collections of tracks (playlists, mlogs): their contents, and recall cases of users opening them.

Legend: N collections, of which 0 is padding and 1 unknown, as for items. Times are int64 µs since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from sequences.behaviours import load_behaviours
from sequences.sequence_batch import FIRST_CODE
from training.data.plays import PARTS, part_of_fit
from training.data.ragged import Ragged
from training.data.recall_cases import CASE_KINDS, RecallCases
from training.data.training_data import COLLECTION_MARTS, TrainingData
from training.engine.workspace import read_time_split

COLLECTIONS_FILE = "collections.parquet"


@dataclass(frozen=True)
class Collections:
    """Collections of one kind that contain at least one track of the catalog."""

    kind: str  # `playlist` or `mlog`
    ids_N: np.ndarray
    titles_N: np.ndarray
    tracks: Ragged  # items of each collection that are in the catalog, in its order

    @classmethod
    def of(cls, data: TrainingData, kind: str, marts: Path | None = None) -> Self:
        """All collections of a kind in the marts (default: those of the data), sorted by id; empty if the mart is missing."""
        path = (marts or data.marts) / f"{COLLECTION_MARTS[kind]}.parquet"
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
        """N, including the two reserved entries."""
        return len(self.ids_N)

    @cached_property
    def number_by_id(self) -> dict[str, int]:
        """Collection number by id."""
        return {name: number for number, name in enumerate(self.ids_N.tolist()) if number >= FIRST_CODE}

    def save(self, folder: Path) -> None:
        """Write one Parquet file into `folder`."""
        columns = {"id": self.ids_N[FIRST_CODE:].tolist(), "title": self.titles_N[FIRST_CODE:].tolist()}
        lists = [self.tracks[number].tolist() for number in range(FIRST_CODE, len(self))]
        texts = {"id": pl.String, "title": pl.String}
        frame = pl.DataFrame(columns | {"items": lists}, schema_overrides={**texts, "items": pl.List(pl.Int64)})
        frame.write_parquet(folder / COLLECTIONS_FILE)

    @classmethod
    def load(cls, folder: Path, kind: str) -> Self:
        """Read the file that `save` wrote."""
        return cls._from_rows(kind, list(pl.read_parquet(folder / COLLECTIONS_FILE).iter_rows()))


@dataclass(frozen=True, eq=False)
class CollectionIndex:
    """The collections that a release recommends under one name, with their popularity as a fallback for recall."""

    name: str
    collections: Collections
    open_count_N: np.ndarray  # how often each was opened
    requires_all_tracks: bool  # whether a collection is only shown if all its tracks may be played

    @cached_property
    def popular_K(self) -> np.ndarray:
        """Numbers of all collections, most opened first."""
        order_N = np.lexsort((np.arange(len(self.collections)), -self.open_count_N))
        popular_K: np.ndarray = order_N[order_N >= FIRST_CODE]
        return popular_K


def build_collection_cases(data: TrainingData, collections: Collections, part: str) -> RecallCases:
    """One case per opening of a collection in `part`, by user and time; its only target is the collection's number.

    The target is a `repeat` if the user had opened the collection before, else a `discovery` (and `reachable`).
    Clicking, liking, collecting, sharing and downloading a collection opens it, and so does playing a track from it;
    such events within one session gap are one opening. The request is made before the first of them, so that it
    contains no event of the opening itself.
    """
    rows = _collection_opens(data, collections).filter(pl.col("part") == part)
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


def _collection_opens(data: TrainingData, collections: Collections) -> pl.DataFrame:
    """One row per opening: user_id, event_number, request_at, scene, number, is_first, part."""
    if not collections.number_by_id:
        texts = [(name, pl.String()) for name in ("user_id", "scene", "part")]
        integers = [(name, pl.Int64()) for name in ("event_number", "number")]
        return pl.DataFrame(schema=[*texts, *integers, ("request_at", pl.Datetime("us")), ("is_first", pl.Boolean())])
    kind, behaviours = collections.kind, load_behaviours()
    context_collection = pl.col("context_id").str.strip_prefix(f"{kind}:")
    opening = [
        row.behaviour for row in behaviours.rows if row.action != "play" and row.polarity in ("positive", "neutral")
    ]
    is_itself = (pl.col("target_type") == kind) & pl.col("behaviour").is_in(opening)
    is_played_from = (pl.col("action") == "play") & pl.col("context_id").str.starts_with(f"{kind}:")
    events = data.scan_mart("events").filter(is_itself | is_played_from)
    name = pl.when(is_itself).then(pl.col("target_id")).otherwise(context_collection)
    events = events.select("user_id", "event_number", "known_at", "request_at", "scene", name=name)
    numbers = pl.DataFrame(
        {"name": list(collections.number_by_id), "number": list(collections.number_by_id.values())},
        schema={"name": pl.String, "number": pl.Int64},
    )
    before = pl.col("known_at").shift().over("user_id", "name")
    gap = pl.duration(minutes=behaviours.session_gap_minutes)
    rows = events.collect().join(numbers, on="name").sort("user_id", "event_number")
    rows = rows.with_columns(is_first=before.is_null(), is_opening=(pl.col("known_at") - before > gap).fill_null(True))
    return _assign_parts(data, rows.filter("is_opening"))


def _assign_parts(data: TrainingData, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `part`, by the global time split or, if split by user, by each user's first request in the part."""
    if data.fit == "final":
        return rows.with_columns(part=pl.lit("train"))
    time_split = read_time_split(data.marts)
    if time_split["split"] == "user_time":
        plays = data.scan_mart("plays").group_by("user_id")
        user_parts = plays.agg(
            pl.col("request_at").filter(pl.col("part") == part).min().alias(f"{part}_from") for part in PARTS[1:]
        )
        rows = rows.join(user_parts.collect(), on="user_id", how="left", maintain_order="left")
    else:
        rows = rows.with_columns(pl.lit(time_split[f"{part}_from"]).alias(f"{part}_from") for part in PARTS[1:])
    is_in = [pl.col("request_at") >= pl.col(f"{part}_from") for part in PARTS[1:]]
    part = pl.when(is_in[1]).then(pl.lit("test")).when(is_in[0]).then(pl.lit("validation")).otherwise(pl.lit("train"))
    return rows.with_columns(part=part).with_columns(part_of_fit(data.fit))
