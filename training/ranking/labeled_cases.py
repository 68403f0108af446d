"""Training cases of rankers: a user, a track, the time of the request, and labels of several tasks.

Each play is a case at its `request_at`; each impression, if the log has them, is one at `shown_at`. A task is a column
of labels, NaN where a case has no label for it. Does not depend on features or torch. Shape letters: R cases, T tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from config.settings import load_dbt_variables
from training.data.plays import PARTS, part_of_fit, to_microseconds
from training.data.training_data import TrainingData

TASKS = ("not_skipped", "full_play", "click", "like")
Array = NDArray[Any]


@dataclass(frozen=True)
class RankingCases:
    """R cases sorted by user, then time.

    Args:
        tasks: Names of the columns of `labels_RT`.
        user_R: Index in `TrainingData.user_ids_U`.
        request_at_R: Time of the request, µs UTC.
        item_R: Vocabulary index of the track.
        play_number_R: Number of the play; -1 for an impression.
        part_R: Index in PARTS.
        scene_R: Name of the scene; "" if none.
        labels_RT: 1, 0 or NaN (unknown).
        position_R: Position of an impression in the response, from 1; 0 for a play.
    """

    tasks: tuple[str, ...]
    user_R: Array
    request_at_R: Array
    item_R: Array
    play_number_R: Array
    part_R: Array
    scene_R: Array
    labels_RT: NDArray[np.float32]
    position_R: Array

    def __len__(self) -> int:
        """Return R."""
        return len(self.user_R)

    def take(self, rows: Array) -> RankingCases:
        """Return the cases of `rows`, in that order."""
        return RankingCases(
            self.tasks,
            self.user_R[rows],
            self.request_at_R[rows],
            self.item_R[rows],
            self.play_number_R[rows],
            self.part_R[rows],
            self.scene_R[rows],
            self.labels_RT[rows],
            self.position_R[rows],
        )

    def filter_part(self, part: str) -> RankingCases:
        """Return the cases of one part."""
        return self.take(np.flatnonzero(self.part_R == PARTS.index(part)))

    def evenly_spread(self, cases: int) -> RankingCases:
        """Return at most `cases` cases, evenly spread over the users."""
        return self.take(evenly_spaced_rows(len(self), cases))

    def newest_per_user(self, cases: int) -> RankingCases:
        """Return about `cases` cases: the same share of every user, the newest, which resemble future requests most."""
        return self if len(self) <= cases else self.take(newest_rows_per_user(self.user_R, cases))


def newest_rows_per_user(user_R: Array, rows: int) -> Array:
    """Return about `rows` row numbers, ascending: the same share of every user, the newest; rows are sorted by user, then time."""
    first, count = np.unique(user_R, return_index=True, return_counts=True)[1:]
    kept_count = np.ceil(count * min(rows / max(len(user_R), 1), 1)).astype(np.int64)
    position = np.arange(len(user_R)) - np.repeat(first, count)
    return np.flatnonzero(position >= np.repeat(count - kept_count, count))


def evenly_spaced_rows(rows: int, count: int) -> Array:
    """Return at most `count` row numbers at even distances."""
    return np.unique(np.linspace(0, max(rows - 1, 0), min(rows, count)).astype(np.int64))


def ranking_cases(data: TrainingData) -> RankingCases:
    """Return all cases of the log with the tasks that have a positive label; see `missing_tasks` for the others."""
    has_impressions = (data.marts / "impressions.parquet").exists()
    frames = [_plays(data), _impressions(data)] if has_impressions else [_plays(data)]
    rows = pl.concat(frames, how="diagonal").sort("user", "request_at", maintain_order=True)
    tasks = tuple(task for task in TASKS if task in rows.columns and rows[task].sum())
    labels = rows.select(pl.col(task).cast(pl.Float32).fill_null(float("nan")) for task in tasks)
    return RankingCases(
        tasks=tasks,
        user_R=rows["user"].to_numpy(),
        request_at_R=rows["request_at"].to_numpy(),
        item_R=rows["item"].to_numpy(),
        play_number_R=rows["play_number"].to_numpy(),
        part_R=rows["part"].to_numpy(),
        scene_R=rows["scene"].fill_null("").to_numpy(),
        labels_RT=labels.to_numpy().astype(np.float32),
        position_R=rows["position"].to_numpy(),
    )


def missing_tasks(cases: RankingCases) -> tuple[str, ...]:
    """Return the tasks without labels in the log; rankers are fitted without them."""
    return tuple(task for task in TASKS if task not in cases.tasks)


def _plays(data: TrainingData) -> pl.DataFrame:
    plays = data.plays
    rows = pl.DataFrame(
        {
            "user": plays.user_P.astype(np.int64),
            "request_at": plays.request_at_P,
            "item": plays.track_P.astype(np.int64),
            "play_number": plays.play_number_P.astype(np.int64),
            "part": plays.part_P,
            "scene": data.scene_P.cast(pl.String),
            "position": pl.zeros(len(plays), dtype=pl.Int64, eager=True),
            "not_skipped": plays.is_listened_P,
            "full_play": plays.is_full_play_P,
        }
    )
    return rows.with_columns(like=_liked_soon(data, rows))


def _liked_soon(data: TrainingData, plays: pl.DataFrame) -> pl.Series:
    """Return whether each play's track is liked at the end of the window, by a like after the request.

    The window is dbt's variable `impression_outcome_minutes`. Null if the log ends before its end.
    """
    is_state = (pl.col("target_type") == "track") & pl.col("behavior").is_in(["like", "unlike"])
    events = data.scan_mart("events").filter(is_state).sort("ended_at", "known_at").collect()
    states = events.select(
        user=_user_index(data, events["user_id"]),
        item=pl.Series(data.vocabulary.encode(events["target_id"].to_list())).cast(pl.Int64),
        changed_at=to_microseconds("ended_at"),
        is_like=pl.col("behavior") == "like",
    )
    window_us = cast(int, load_dbt_variables()["impression_outcome_minutes"]) * 60_000_000
    windows = plays.select("user", "item", "request_at", ends_at=pl.col("request_at") + window_us)
    # The last state before the end of the window, so that a label never depends on later events.
    last = (
        windows.with_row_index("row")
        .sort("ends_at")
        .join_asof(states, left_on="ends_at", right_on="changed_at", by=["user", "item"], check_sortedness=False)
    )
    is_liked = pl.col("is_like") & (pl.col("changed_at") >= pl.col("request_at"))
    newest = data.scan_mart("events").select(to_microseconds("known_at").max()).collect().item()
    is_over = pl.col("ends_at") <= newest
    return last.sort("row").select(pl.when(is_over).then(is_liked.fill_null(False))).to_series()


def _impressions(data: TrainingData) -> pl.DataFrame:
    impressions = data.scan_mart("impressions").filter(pl.col("track_id").is_not_null())
    rows = data.profile_exclusions.drop(impressions, "shown_at", data.vocabulary).collect()
    part = part_of_fit(data.fit)
    return rows.select(
        user=_user_index(data, rows["user_id"]),
        request_at=to_microseconds("shown_at"),
        item=pl.Series(data.vocabulary.encode(rows["track_id"].to_list())).cast(pl.Int64),
        play_number=pl.lit(-1, dtype=pl.Int64),
        part=part.replace_strict({name: code for code, name in enumerate(PARTS)}, return_dtype=pl.Int8),
        scene=pl.col("scene").cast(pl.String),
        position=pl.col("position").cast(pl.Int64).fill_null(-1) + 1,
        # A track that started without a click has no click label.
        click=pl.when(pl.col("is_clicked") | ~pl.col("is_played")).then(pl.col("is_clicked").cast(pl.Boolean)),
        like=pl.col("is_liked").cast(pl.Boolean),
    ).filter(pl.col("user") >= 0)


def _user_index(data: TrainingData, user_ids: pl.Series) -> pl.Series:
    """Return indices in `TrainingData.user_ids_U`; -1 for a user without plays."""
    index = {user: code for code, user in enumerate(data.user_ids_U)}
    return user_ids.replace_strict(index, default=-1, return_dtype=pl.Int64)
