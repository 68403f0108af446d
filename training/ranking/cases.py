"""The rows a ranker learns from: a track, a user, the moment before, and what came of it.

Every play is a case at its `request_at`; every impression, where the log has them, is one at `shown_at`. A task is a
column of labels; NaN where a case says nothing about it. Shape letters: R cases, T tasks. Knows nothing about features
or torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.plays import PARTS
from training.data.training_data import TrainingData

TASKS = ("not_skipped", "full_play", "click", "like")
LIKE_WINDOW_US = 30 * 60 * 1_000_000

Array = NDArray[Any]


@dataclass(frozen=True)
class RankingCases:
    """R cases sorted by user, then time. `user_R` indexes `TrainingData.user_ids_U`; `play_number_R` is -1 for an
    impression.

    `labels_RT` is 1, 0 or NaN (unknown), columns as `tasks`. `position_R`: the place in the answer in which an
    impression stood, from 1; 0 for a play.
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
        """R."""
        return len(self.user_R)

    def take(self, rows: Array) -> RankingCases:
        """The cases of `rows`, in that order."""
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
        """The cases of one part."""
        return self.take(np.flatnonzero(self.part_R == PARTS.index(part)))

    def newest_per_user(self, cases: int) -> RankingCases:
        """About `cases` of them: the same share of every user, the newest, which are the likest to what comes next."""
        if len(self) <= cases:
            return self
        first, count = np.unique(self.user_R, return_index=True, return_counts=True)[1:]
        kept = np.ceil(count * (cases / len(self))).astype(np.int64)
        position = np.arange(len(self)) - np.repeat(first, count)
        return self.take(np.flatnonzero(position >= np.repeat(count - kept, count)))


def ranking_cases(data: TrainingData) -> RankingCases:
    """Every case of the log, with the tasks it can teach; see `missing_tasks` for the others."""
    frames = [_plays(data), *_impressions(data)]
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
    """Tasks that the log holds nothing about: trained without, and said so."""
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
    likes = _mart(data, "likes")
    if likes is None:
        return rows
    likes = likes.filter(pl.col("target_type") == "track")
    likes = likes.select(
        user=_user_index(data, likes["user_id"]),
        item=pl.Series(data.vocabulary.encode(likes["target_id"].to_list())),
        liked_at=_microseconds("liked_at"),
    )
    # A play is a liked one when its track was liked during it or soon after.
    likes = likes.sort("liked_at")
    rows = rows.with_row_index("row").sort("request_at")
    rows = rows.join_asof(
        likes,
        left_on="request_at",
        right_on="liked_at",
        by=["user", "item"],
        strategy="forward",
        check_sortedness=False,
    )
    is_soon = (pl.col("liked_at") - pl.col("request_at") <= LIKE_WINDOW_US).fill_null(False)
    return rows.sort("row").with_columns(like=is_soon).drop("row", "liked_at")


def _impressions(data: TrainingData) -> list[pl.DataFrame]:
    rows = _mart(data, "impressions")
    if rows is None:
        return []
    rows = rows.filter(pl.col("track_id").is_not_null())
    part = pl.lit("train") if data.fit == "final" else pl.col("part")
    return [
        rows.select(
            user=_user_index(data, rows["user_id"]),
            request_at=_microseconds("shown_at"),
            item=pl.Series(data.vocabulary.encode(rows["track_id"].to_list())),
            play_number=pl.lit(-1, dtype=pl.Int64),
            part=part.replace_strict({name: code for code, name in enumerate(PARTS)}, return_dtype=pl.Int8),
            scene=pl.col("scene").cast(pl.String),
            position=pl.col("position").cast(pl.Int64).fill_null(-1) + 1,
            # What began to play by itself says nothing about a click.
            click=pl.when(pl.col("is_clicked") | ~pl.col("is_played")).then(pl.col("is_clicked").cast(pl.Boolean)),
            like=pl.col("is_liked").cast(pl.Boolean),
        ).filter(pl.col("user") >= 0)
    ]


def _mart(data: TrainingData, name: str) -> pl.DataFrame | None:
    """A mart that not every log fills; None when it is missing or empty."""
    path = data.marts / f"{name}.parquet"
    if not path.exists():
        return None
    rows = data.scan_mart(name).collect()
    return None if rows.is_empty() else rows


def _microseconds(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Datetime("us")).cast(pl.Int64)


def _user_index(data: TrainingData, user_ids: pl.Series) -> pl.Series:
    """Index in `TrainingData.user_ids_U`; -1 for a user who never played anything."""
    index = {user: code for code, user in enumerate(data.user_ids_U)}
    return user_ids.replace_strict(index, default=-1, return_dtype=pl.Int64)
