"""Playlists and mlogs for a user: the nearest to what `realtime` asks for, where a container is the mean of its tracks.

What was opened before pulls the query towards it, and what many open has a head start; both weights are chosen on
validation. What was opened and not followed by anything played yet weighs as much as the query itself: a click counts in
the very next answer, and once tracks were played, `realtime` knows better. Who has neither played nor opened anything
gets what is opened most. Legend: B requests, N containers, C openings of a request, K candidates, D width.
Knows nothing about training `realtime`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sequences.batch import FIRST_CODE
from training.data.collections import CollectionIndex, Collections, build_collection_cases
from training.data.plays import PARTS
from training.data.recall_at_k import load_user_batches, recall_table
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch
from training.data.vocabulary import TARGET_TYPES
from training.engine.workspace import write_json
from training.index.exact import ExactIndex
from training.recall.channel import Candidates, CandidateSource
from training.recall.realtime.channel import Realtime
from training.recall.reason import Reason

ITEMS_PER_CHUNK = 65_536
MAX_OPENINGS = 10
OPENING_DECAY = 0.7
"""What an opening weighs, by how many came after it: 1, .7, .49 …, of the newest NEWEST."""
FRESH_OPENING_WEIGHT = 1.0
"""The weight of the newest opening as long as no track was played, liked or clicked since. Not fitted: logs have few requests
that lie between, and there the click is all that is known of what is wanted now.
"""


@dataclass(frozen=True)
class CollectionConfig:
    """`opened_weight`: of the newest opening that is not fresh any more, the query of `realtime` being 1; `popular_weight`: of the
    logarithm of how often a container was opened, that of the most opened being 1. None: the ones that validation likes
    best.
    """

    opened_weight: float | None = None
    popular_weight: float | None = None
    opened_weight_grid: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4, 0.8)
    popular_weight_grid: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4)
    eval_cutoffs: tuple[int, ...] = (10, 50)

    def __post_init__(self) -> None:
        # JSON has lists only; a config read from it equals the one that was written.
        for name in ("opened_weight_grid", "popular_weight_grid", "eval_cutoffs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


class CollectionRecall(CandidateSource):
    """Containers of one `kind`, out of an exact index of their vectors. Candidates are container numbers."""

    kind: ClassVar[str]
    requires_all_tracks: ClassVar[bool] = False
    """See `Shelf`."""

    feature_service: ClassVar[str] = "realtime"

    def __init__(
        self, config: CollectionConfig, containers: Collections, opened_N: np.ndarray, realtime: Realtime
    ) -> None:
        self.resolved_config = config
        self.collection_index = CollectionIndex(self.name, containers, opened_N, self.requires_all_tracks)
        self.collections, self.opening_count_N, self.realtime = containers, opened_N, realtime
        self.vector_ND = _mean_track_vectors(containers, realtime)
        code = realtime.vocabulary.collection_code
        self._number_of_code = np.zeros(len(code) + FIRST_CODE, dtype=np.int64)
        for name, number in containers.number_by_id.items():
            self._number_of_code[code[name]] = number
        self._measures: dict[str, Any] = {}
        self.rebuild_index()

    def rebuild_index(self) -> None:
        """Index the vectors with the head start that `settled` gives: one number more, which every query asks for once."""
        log_N = np.log1p(self.opening_count_N[FIRST_CODE:].astype(np.float32))
        start_N = (self.resolved_config.popular_weight or 0.0) * log_N / max(log_N.max(initial=0.0), 1e-9)
        start_N1 = torch.from_numpy(start_N.astype(np.float32))[:, None]
        self.index = ExactIndex.of(
            np.arange(FIRST_CODE, len(self.collections)), torch.cat([self.vector_ND[FIRST_CODE:], start_N1], dim=1)
        )

    @classmethod
    def config(cls, recipe: str) -> CollectionConfig:
        """The same for every recipe."""
        del recipe
        return CollectionConfig()

    @classmethod
    def fit(cls, data: TrainingData, config: CollectionConfig, realtime: Realtime) -> Self:
        """Count what was opened in `train`; choose the weights that are not given by the openings of `validation`."""
        containers = Collections.of(data, cls.kind)
        opened = build_collection_cases(data, containers, PARTS[0]).items["targets"].items
        opened_N = np.bincount(opened, minlength=len(containers)).astype(np.int64)
        found = cls(config, containers, opened_N, realtime)
        cases = build_collection_cases(data, containers, "validation")
        batches = load_user_batches(data, cases, cls.feature_service) if len(cases) else []
        tables = {}
        for opened_weight, popular_weight in product(
            *(
                tried if chosen is None else (chosen,)
                for chosen, tried in (
                    (config.opened_weight, config.opened_weight_grid),
                    (config.popular_weight, config.popular_weight_grid),
                )
            )
        ):
            found.resolved_config = replace(config, opened_weight=opened_weight, popular_weight=popular_weight)
            found.rebuild_index()
            if not batches:
                break
            items = np.concatenate([found.recall(users, max(config.eval_cutoffs)).items_BK for users in batches])
            tables[found.resolved_config] = recall_table(items, cases, config.eval_cutoffs)
        if tables:
            found.resolved_config = max(
                tables, key=lambda one: round(sum(tables[one][f"recall_at_{k}/all"] for k in config.eval_cutoffs), 9)
            )
            found.rebuild_index()
        found._measures = {
            "containers": len(containers) - FIRST_CODE,
            "openings": {"train": len(opened), "validation": len(cases)},
            "validation": tables.get(found.resolved_config, {}),
        }
        return found

    def measures(self) -> dict[str, Any]:
        """How many containers and openings there are, and validation recall."""
        return self._measures

    @torch.inference_mode()
    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The nearest `k`; the most opened for a request that knows no play and no opening."""
        query_BD = self._encode_queries(users)
        asks_B = query_BD.abs().sum(1).numpy() > 0
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        scores_BK = np.full((len(users), k), -np.inf, dtype=np.float32)
        if asks_B.any():
            items_BK[asks_B], scores_BK[asks_B] = self.index.search(
                functional.pad(query_BD[torch.from_numpy(asks_B)], (0, 1), value=1.0), k
            )
        popular_K = self.collection_index.popular_K[:k]
        items_BK[~asks_B, : len(popular_K)] = popular_K
        scores_BK[~asks_B, : len(popular_K)] = -np.arange(len(popular_K), dtype=np.float32)
        return Candidates.pad_or_truncate(items_BK, scores_BK, k)

    def _encode_queries(self, users: UserBatch) -> Tensor:
        """What `realtime` asks for next and what was opened, [B, D] of length 1, or of 0 where nothing is known."""
        query_BD = torch.zeros(len(users), self.vector_ND.shape[1])
        rows, query = self.realtime.encode_queries(users)
        if len(rows):
            query_BD[torch.from_numpy(rows)] = functional.normalize(query["next"][:, 0], dim=-1)
        opened_BC, is_fresh_BC = self.recent_openings(users)
        weight_BC = np.where(
            is_fresh_BC, FRESH_OPENING_WEIGHT, self.resolved_config.opened_weight or 0.0
        ) * OPENING_DECAY ** np.arange(MAX_OPENINGS)
        weight_BC1 = torch.from_numpy(weight_BC.astype(np.float32))[:, :, None]
        query_BD = query_BD + (self.vector_ND[torch.from_numpy(opened_BC)] * weight_BC1).sum(1)
        return functional.normalize(query_BD, dim=-1)

    def recent_openings(self, users: UserBatch) -> tuple[np.ndarray, np.ndarray]:
        """What each request's user clicked, the newest first, [B, NEWEST], 0 where there is no more; and whether nothing was done with a
        track since.
        """
        newest_BC, is_fresh_BC = (
            np.zeros((len(users), MAX_OPENINGS), dtype=np.int64),
            np.zeros((len(users), MAX_OPENINGS), dtype=bool),
        )
        clicks = users.views["recent_clicks"]
        if "target_id" not in clicks.columns:  # the vocabulary knows no containers
            return newest_BC, is_fresh_BC
        is_mine_BL = clicks.columns["target_type"] == FIRST_CODE + TARGET_TYPES.index(self.kind)
        number_BL = np.where(is_mine_BL, self._number_of_code[clicks.columns["target_id"]], 0)
        last_B = users.views["recent_events"].columns["ended_at"].max(axis=1)
        for row, number_L in enumerate(number_BL):
            place = np.flatnonzero(number_L >= FIRST_CODE)[::-1][:MAX_OPENINGS]
            newest_BC[row, : len(place)] = number_L[place]
            is_fresh_BC[row, : len(place)] = clicks.columns["ended_at"][row, place] > last_B[row]
        return newest_BC, is_fresh_BC

    @torch.inference_mode()
    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """By what was opened where that is nearer than any track that was played lately, else by that track."""
        opened = self.recent_openings(user)[0][0]
        opened = opened[opened >= FIRST_CODE]
        played = self.realtime.recent_listens(user)
        if not len(items):
            return []
        if not len(opened) and not len(played):
            return [Reason("often_opened")] * len(items)
        vectors = [self.vector_ND[torch.from_numpy(opened)]]
        vectors.append(functional.normalize(self.realtime.vectors(torch.from_numpy(played)), dim=-1))
        nearest = (self.vector_ND[torch.tensor(list(items))] @ torch.cat(vectors).T).argmax(1).tolist()
        just_now = self.realtime.recently_ended_items(user)
        return [
            self._reason(item, opened.tolist(), place, played, just_now)
            for item, place in zip(items, nearest, strict=True)
        ]

    def _reason(self, item: int, opened: list[int], nearest: int, played: np.ndarray, just_now: set[int]) -> Reason:
        if item in opened:
            return Reason("opened_recently")
        if nearest < len(opened):
            title = str(self.collections.titles_N[opened[nearest]])
            return Reason("opened_collection", {"collection": title}) if title else Reason("opened_similar_collection")
        return self.realtime.explain_by_track(int(played[nearest - len(opened)]), just_now)

    def save(self, folder: Path) -> None:
        """Config as JSON, the containers as Parquet, the counts as one array; the vectors are made anew from `realtime`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", asdict(self.resolved_config))
        self.collections.save(folder)
        np.save(folder / "opened.npy", self.opening_count_N, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, realtime: Realtime) -> Self:
        """What `save` wrote, with the vectors of the `realtime` that it is served with."""
        config = CollectionConfig(**json.loads((folder / "config.json").read_text()))
        shelf = cls.load_collection_index(folder)
        return cls(config, shelf.collections, shelf.open_count_N, realtime)

    @classmethod
    def load_collection_index(cls, folder: Path) -> CollectionIndex:
        """What `save` wrote, as far as it is no model."""
        opened_N = np.load(folder / "opened.npy", allow_pickle=False)
        return CollectionIndex(cls.name, Collections.load(folder, cls.kind), opened_N, cls.requires_all_tracks)


class Playlists(CollectionRecall):
    """Playlists that users and editors made."""

    name: ClassVar[str] = "playlists"
    kind: ClassVar[str] = "playlist"


class Mlogs(CollectionRecall):
    """Short videos, each with the tracks it is tied to."""

    name: ClassVar[str] = "mlogs"
    kind: ClassVar[str] = "mlog"
    requires_all_tracks: ClassVar[bool] = True


@torch.no_grad()
def _mean_track_vectors(containers: Collections, realtime: Realtime) -> Tensor:
    """The mean of each container's tracks, all vectors of length 1, [N, D]; zeros for the reserved two."""
    total_ND = torch.zeros(len(containers), realtime.resolved_config.items.width)
    number = torch.from_numpy(containers.tracks.case_per_item)
    items = torch.from_numpy(containers.tracks.items)
    for some, of in zip(items.split(ITEMS_PER_CHUNK), number.split(ITEMS_PER_CHUNK), strict=True):
        if len(some):
            total_ND.index_add_(0, of, functional.normalize(realtime.vectors(some), dim=-1))
    return functional.normalize(total_ND, dim=-1)
