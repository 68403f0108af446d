"""Recall cases of users who open playlists and mlogs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from recommender.catalog.arrays import Ragged
from recommender.catalog.collections import Collections
from sequences.behaviors import load_behaviors
from storage.mart_tables import read_time_split
from training.data.plays import PARTS, part_of_fit, to_microseconds
from training.data.recall_cases import CASE_KINDS, RecallCases
from training.data.training_data import COLLECTION_MARTS, TrainingData


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
        request_at_C=rows.select(to_microseconds("request_at")).to_series().to_numpy(),
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
    kind, behaviors = collections.kind, load_behaviors()
    context_collection = pl.col("context_id").str.strip_prefix(f"{kind}:")
    opening = [
        row.behavior for row in behaviors.rows if row.action != "play" and row.polarity in ("positive", "neutral")
    ]
    is_itself = (pl.col("target_type") == kind) & pl.col("behavior").is_in(opening)
    is_played_from = (pl.col("action") == "play") & pl.col("context_id").str.starts_with(f"{kind}:")
    events = data.scan_mart("events").filter(is_itself | is_played_from)
    name = pl.when(is_itself).then(pl.col("target_id")).otherwise(context_collection)
    events = events.select("user_id", "event_number", "known_at", "request_at", "scene", name=name)
    numbers = pl.DataFrame(
        {"name": list(collections.number_by_id), "number": list(collections.number_by_id.values())},
        schema={"name": pl.String, "number": pl.Int64},
    )
    before = pl.col("known_at").shift().over("user_id", "name")
    gap = pl.duration(minutes=behaviors.session_gap_minutes)
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


def read_collections(data: TrainingData, kind: str, marts: Path | None = None) -> Collections:
    """All collections of a kind in the marts (default: the marts of the data), sorted by id; empty if the mart is missing."""
    path = (marts or data.marts) / f"{COLLECTION_MARTS[kind]}.parquet"
    rows: list[tuple[str, str, list[int]]] = []
    if path.exists():
        table = pl.read_parquet(path, columns=[f"{kind}_id", "title", "track_ids"]).sort(f"{kind}_id")
        for name, title, track_ids in table.iter_rows():
            items = data.vocabulary.encode(list(dict.fromkeys(track_ids or [])))
            rows.append((name, title or "", items[data.catalog_V[items]].tolist()))
    return Collections.from_rows(kind, [row for row in rows if row[2]])
