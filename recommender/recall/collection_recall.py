"""Recall of collections (playlists and mlogs): those whose mean track vector is nearest to the query of `realtime`.

Collections that the user opened move the query towards them, and popular collections have an additive bonus; both
weights are tuned on validation. A collection that was opened after the last play counts as much as the query itself, so
that a click affects the next response; once tracks are played, the query of `realtime` reflects them. Users without
plays and openings get the most opened collections.

Legend: B requests, N collections, C openings of a request, K candidates, D width.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from config.dataclass_io import Section, config_from_dict
from event_store.behaviors import TARGET_TYPES
from recommender.array_types import Ints
from recommender.catalog.collections import Collections
from recommender.nn.item_tower import ITEMS_PER_CHUNK
from recommender.nn.vector_index import VectorIndex
from recommender.recall.channel import CandidateSource, pad_rows
from recommender.recall.realtime import Realtime
from recommender.recall.reason import Reason
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import FIRST_CODE
from storage.files import write_json

MAX_OPENINGS = 10
OPENING_DECAY = 0.7
"""Factor per later opening: the newest MAX_OPENINGS openings weigh 1, 0.7, 0.49, …"""
FRESH_OPENING_WEIGHT = 1.0
"""Weight of an opening without any later event of the user.

Not tuned, because logs have few requests directly after an opening, and at these the click is the only information on
what the user wants now.
"""


@dataclass(frozen=True)
class CollectionConfig(Section):
    """Configuration of collection recall; `training/recipes/small.yaml` says what its fields mean."""

    opened_weight_grid: tuple[float, ...]
    popular_weight_grid: tuple[float, ...]
    eval_cutoffs: tuple[int, ...]
    opened_weight: float | None = None  # None: tuned
    popular_weight: float | None = None  # None: tuned


class CollectionRecall(CandidateSource[CollectionConfig]):
    """Collections of one `kind`, from an exact index of their vectors. Candidates are collection numbers."""

    config_class = CollectionConfig
    kind: ClassVar[str]
    feature_service: ClassVar[str] = "realtime"

    def __init__(self, config: CollectionConfig, collections: Collections, realtime: Realtime) -> None:
        self.resolved_config, self.collections, self.realtime = config, collections, realtime
        self.vector_ND = _mean_track_vectors(collections, realtime)
        code = realtime.vocabulary.collection_code
        self._number_of_code = np.zeros(len(code) + FIRST_CODE, dtype=np.int64)
        for name, number in collections.number_by_id.items():
            self._number_of_code[code[name]] = number
        self.rebuild_index()

    def rebuild_index(self) -> None:
        """Index the vectors with the popularity bonus as an additional dimension, whose query component is 1."""
        log_N = np.log1p(self.collections.open_count_N[FIRST_CODE:].astype(np.float32))
        start_N = (self.resolved_config.popular_weight or 0.0) * log_N / max(log_N.max(initial=0.0), 1e-9)
        start_N1 = torch.from_numpy(start_N.astype(np.float32))[:, None]
        self.index = VectorIndex.of(
            np.arange(FIRST_CODE, len(self.collections)), torch.cat([self.vector_ND[FIRST_CODE:], start_N1], dim=1)
        )

    @torch.inference_mode()
    def recall(self, users: UserBatch, k: int) -> Ints:
        """The nearest `k` collections; the most opened ones for a request without plays and openings."""
        query_BD = self._encode_queries(users)
        has_query_B = query_BD.abs().sum(1).numpy() > 0
        found_BK, _ = self.index.search(functional.pad(query_BD, (0, 1), value=1.0)[:, None].numpy(), k)
        return np.where(has_query_B[:, None], found_BK, pad_rows([self.collections.popular_K], k))

    def _encode_queries(self, users: UserBatch) -> Tensor:
        """Unit-length queries [B, D] from the query of `realtime` and the openings; zeros where there are neither."""
        query_BD = torch.zeros(len(users), self.vector_ND.shape[1])
        rows, query = self.realtime.encode_queries(users)
        if len(rows):
            query_BD[torch.from_numpy(rows)] = functional.normalize(torch.from_numpy(query["next"][:, 0]), dim=-1)
        opened_BC, is_fresh_BC = self.recent_openings(users)
        weight_BC = np.where(
            is_fresh_BC, FRESH_OPENING_WEIGHT, self.resolved_config.opened_weight or 0.0
        ) * OPENING_DECAY ** np.arange(MAX_OPENINGS)
        weight_BC1 = torch.from_numpy(weight_BC.astype(np.float32))[:, :, None]
        query_BD = query_BD + (self.vector_ND[torch.from_numpy(opened_BC)] * weight_BC1).sum(1)
        return functional.normalize(query_BD, dim=-1)

    def recent_openings(self, users: UserBatch) -> tuple[np.ndarray, np.ndarray]:
        """The newest opened collections of each request [B, C], newest first, 0 = none; and whether each was opened
        after the last event with a track.
        """
        newest_BC, is_fresh_BC = (
            np.zeros((len(users), MAX_OPENINGS), dtype=np.int64),
            np.zeros((len(users), MAX_OPENINGS), dtype=bool),
        )
        clicks = users.views["recent_clicks"]
        is_kind_BL = clicks.columns["target_type"] == FIRST_CODE + TARGET_TYPES.index(self.kind)
        number_BL = np.where(is_kind_BL, self._number_of_code[clicks.columns["target_id"]], 0)
        last_B = users.views["recent_events"].columns["ended_at"].max(axis=1)
        for row, number_L in enumerate(number_BL):
            place = np.flatnonzero(number_L >= FIRST_CODE)[::-1][:MAX_OPENINGS]
            newest_BC[row, : len(place)] = number_L[place]
            is_fresh_BC[row, : len(place)] = clicks.columns["ended_at"][row, place] > last_B[row]
        return newest_BC, is_fresh_BC

    @torch.inference_mode()
    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """The opened collection, or the recently played or liked track, that is nearest to each item."""
        opened = self.recent_openings(user)[0][0]
        opened = opened[opened >= FIRST_CODE]
        recent = self.realtime.recent_items(user)
        if not len(items):
            return []
        if not len(opened) and not recent:
            return [Reason("often_opened")] * len(items)
        vectors = [self.vector_ND[torch.from_numpy(opened)]]
        vectors.append(
            functional.normalize(self.realtime.vectors(torch.tensor(list(recent), dtype=torch.int64)), dim=-1)
        )
        nearest = (self.vector_ND[torch.tensor(list(items))] @ torch.cat(vectors).T).argmax(1).tolist()
        return [self._reason(item, opened.tolist(), place, recent) for item, place in zip(items, nearest, strict=True)]

    def _reason(self, item: int, opened: list[int], nearest: int, recent: Mapping[int, Reason]) -> Reason:
        if item in opened:
            return Reason("opened_recently")
        if nearest < len(opened):
            title = str(self.collections.titles_N[opened[nearest]])
            return Reason("opened_collection", {"collection": title}) if title else Reason("opened_similar_collection")
        return self.realtime.explain_by_track(list(recent)[nearest - len(opened)], recent)

    def save(self, folder: Path) -> None:
        """Write the config as JSON, and the collections; `load` recomputes the vectors."""
        write_json(folder / "config.json", asdict(self.resolved_config))
        self.collections.save(folder)

    @classmethod
    def load(cls, folder: Path, realtime: Realtime) -> Self:
        """The recall model that `save` wrote, with the item vectors of `realtime`."""
        config = config_from_dict(CollectionConfig, json.loads((folder / "config.json").read_text()))
        return cls(config, Collections.load(folder, cls.kind), realtime)


class Playlists(CollectionRecall):
    """Playlists that users and editors made."""

    name: ClassVar[str] = "playlists"
    kind: ClassVar[str] = "playlist"


class Mlogs(CollectionRecall):
    """Short videos (mlogs), with the tracks that they use."""

    name: ClassVar[str] = "mlogs"
    kind: ClassVar[str] = "mlog"


@torch.no_grad()
def _mean_track_vectors(collections: Collections, realtime: Realtime) -> Tensor:
    """Unit-length mean of the unit-length track vectors of each collection [N, D]; zeros for the two reserved numbers."""
    total_ND = torch.zeros(len(collections), realtime.resolved_config.items.width)
    number = torch.from_numpy(collections.tracks.case_per_item)
    items = torch.from_numpy(collections.tracks.items)
    for chunk, owner in zip(items.split(ITEMS_PER_CHUNK), number.split(ITEMS_PER_CHUNK), strict=True):
        if len(chunk):
            total_ND.index_add_(0, owner, functional.normalize(realtime.vectors(chunk), dim=-1))
    return functional.normalize(total_ND, dim=-1)
