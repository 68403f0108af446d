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

from config.dataclass_io import Section, config_from_dict
from event_store.behaviors import TARGET_TYPES
from recommender.array_types import Bools, Floats, Ints
from recommender.catalog.collections import Collections
from recommender.nn.compiled_layers import unit_rows
from recommender.nn.vector_index import VectorIndex
from recommender.recall.channel import CandidateSource, pad_rows
from recommender.recall.realtime import Realtime
from recommender.recall.reason import Reason
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import FIRST_CODE
from storage.files import write_json

MAX_OPENINGS = 10
TRACKS_PER_CHUNK = 65_536
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
        vector_NX = np.column_stack([self.vector_ND[FIRST_CODE:], start_N.astype(np.float32)])
        self.index = VectorIndex.of(np.arange(FIRST_CODE, len(self.collections)), vector_NX)

    def recall(self, users: UserBatch, k: int) -> Ints:
        """The nearest `k` collections; the most opened ones for a request without plays and openings."""
        query_BD = self._encode_queries(users)
        query_BX = np.pad(query_BD, ((0, 0), (0, 1)), constant_values=1)
        found_BK, _ = self.index.search(query_BX[:, None], k)
        return np.where(query_BD.any(axis=1, keepdims=True), found_BK, pad_rows([self.collections.popular_K], k))

    def _encode_queries(self, users: UserBatch) -> Floats:
        """Unit-length queries [B, D] from the query of `realtime` and the openings; zeros where there are neither."""
        query_BD = np.zeros((len(users), self.vector_ND.shape[1]), dtype=np.float32)
        rows, query = self.realtime.encode_queries(users)
        if len(rows):
            query_BD[rows] = unit_rows(query["next"][:, 0])
        opened_BC, is_fresh_BC = self.recent_openings(users)
        weight_BC = np.where(
            is_fresh_BC, FRESH_OPENING_WEIGHT, self.resolved_config.opened_weight or 0.0
        ) * OPENING_DECAY ** np.arange(MAX_OPENINGS)
        query_BD += (self.vector_ND[opened_BC] * weight_BC.astype(np.float32)[:, :, None]).sum(1)
        return unit_rows(query_BD)

    def recent_openings(self, users: UserBatch) -> tuple[Ints, Bools]:
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

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """The opened collection, or the recently played or liked track, that is nearest to each item."""
        opened = self.recent_openings(user)[0][0]
        opened = opened[opened >= FIRST_CODE]
        recent = self.realtime.recent_items(user)
        if not len(items):
            return []
        if not len(opened) and not recent:
            return [Reason("often_opened")] * len(items)
        known_MD = np.concatenate([self.vector_ND[opened], self.realtime.item_vectors(list(recent))])
        nearest = (self.vector_ND[list(items)] @ known_MD.T).argmax(1).tolist()
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


def _mean_track_vectors(collections: Collections, realtime: Realtime) -> Floats:
    """Unit-length mean of the unit-length track vectors of each collection [N, D]; zeros for the two reserved numbers."""
    total_ND = np.zeros((len(collections), realtime.resolved_config.items.width), dtype=np.float32)
    items, number = collections.tracks.items, collections.tracks.case_per_item
    for begin in range(0, len(items), TRACKS_PER_CHUNK):
        chunk = slice(begin, begin + TRACKS_PER_CHUNK)
        np.add.at(total_ND, number[chunk], realtime.item_vectors(items[chunk]))
    return unit_rows(total_ND)
