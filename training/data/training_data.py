"""Training data: plays, vocabulary, catalog and recall cases of a fit, read from the marts.

Legend: P plays, U users, V vocabulary, C cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from config import settings
from content import FACETS
from content.audio_facets import fill_facets
from content.music_detection import mark_music
from content.track_content import CONTENT_COLUMNS, TrackContent, load_content_tables
from recommender.catalog.arrays import Ragged
from recommender.catalog.catalog import Catalog
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.play_archive import FULL_PLAY, PlayArchive
from recommender.user.exclusions import ProfileExclusions, TargetTracks, read_playlist
from sequences.feature_services import ServiceContract
from sequences.sequence_batch import FIRST_CODE
from sequences.sequence_views import SEQUENCE_VIEWS
from training.data.plays import PARTS, Plays, part_of_fit, read_plays, sample_users
from training.data.recall_cases import RecallCases
from training.recipes import Recipe

if TYPE_CHECKING:
    from sequences.offline.dense_reader import DenseReader

COLLECTION_MARTS = {"playlist": "playlists", "mlog": "mlogs"}
"""Mart of each kind of collection, by the target type of its events."""


@dataclass
class TrainingData:
    """The marts as a model sees them.

    Args:
        marts: Folder of the marts.
        fit: `held_out` uses the parts of the marts: models learn from `train` and are tuned on `validation`. `final`
            treats every play as `train`; the catalog then has all tracks that were played or are available by the
            newest play.
        recipe: Recipe of the training run.
        services: Contracts of feature services; others are read from Feast's registry.
        cache_folder: Cache of track content and of the arrays of sequence views, shared by all models; None: no cache.
        held_out_model: Folder of the `held_out` fit of the same model, of which this fit keeps what does not gain by newer data:
            learned orders, whose features contain no ids, the network of long_short, and rankers. None: everything is fitted.
        max_plays: Maximum number of plays in memory. If there are more, users are sampled (`sample_users`) and the
            plays of all others are ignored.

    Raises:
        FileNotFoundError: a mart is missing.
    """

    marts: Path
    fit: str
    recipe: Recipe
    services: Mapping[str, ServiceContract] = field(default_factory=dict)
    cache_folder: Path | None = None
    held_out_model: Path | None = None
    max_plays: int = field(default_factory=lambda: settings.load_settings().training_plays)
    vocabulary: Vocabulary = field(init=False)
    plays: Plays = field(init=False)
    catalog_V: np.ndarray = field(init=False)
    user_ids_U: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.sampled_user_ids = sample_users(pl.scan_parquet(self.marts / "plays.parquet"), self.max_plays)
        plays = self.scan_mart("plays").with_columns(part_of_fit(self.fit))
        # Texts and vectors are larger than all other columns, and only `content` needs them.
        tracks = pl.scan_parquet(self.marts / "tracks.parquet").drop(CONTENT_COLUMNS, strict=False).collect()
        train_plays = plays.filter(pl.col("part") == "train").select("track_id", "is_listened")
        tracks = mark_music(tracks, self.marts, train_plays)
        self._track_rows = fill_facets(tracks, self.marts)
        self.vocabulary = Vocabulary.build(
            self._track_rows, train_plays.select("track_id"), _collection_ids(self.marts), _aliases(self.marts)
        )
        plays = self.profile_exclusions.drop(plays, "known_at", self.vocabulary)
        users = plays.select(pl.col("user_id").unique().sort()).collect(engine="streaming")
        self.user_ids_U = users["user_id"].to_numpy().astype(object)
        rows = read_plays(plays, self.user_ids_U.tolist(), self.vocabulary)
        self.plays = Plays.of(rows)
        self.scene_P = rows["scene"]
        self.catalog_V = self._catalog_mask()
        self._readers: dict[str, DenseReader] = {}

    def scan_mart(self, mart: str) -> pl.LazyFrame:
        """The rows of a mart with a column `user_id` that belong to sampled users."""
        rows = pl.scan_parquet(self.marts / f"{mart}.parquet")
        return (
            rows
            if self.sampled_user_ids is None
            else rows.filter(pl.col("user_id").is_in(self.sampled_user_ids.implode()))
        )

    def _catalog_mask(self) -> np.ndarray:
        catalog_V = np.zeros(len(self.vocabulary), dtype=bool)
        listed = self._track_rows.filter(pl.col("is_in_catalog"))["track_id"].to_list()
        catalog_V[self.vocabulary.encode(listed)] = True
        if self.fit == "final":
            played = pl.scan_parquet(self.marts / "plays.parquet").select(pl.col("track_id").unique())
            catalog_V[self.vocabulary.encode(played.collect(engine="streaming")["track_id"].to_list())] = True
            newest = datetime(1970, 1, 1) + timedelta(microseconds=int(self.plays.known_at_P.max(initial=0)))
            is_released = pl.col("released_on").cast(pl.Date) <= newest.date()
            is_available = pl.col("available_from").cast(pl.Datetime("us")) <= newest
            available = self._track_rows.filter(is_released | is_available)
            catalog_V[self.vocabulary.encode(available["track_id"].to_list())] = True
        catalog_V[:2] = False
        return catalog_V

    @cached_property
    def profile_exclusions(self) -> ProfileExclusions:
        """What users left out of their profiles; such plays are neither inputs nor targets."""

        def load_targets() -> TargetTracks:
            playlist = partial(read_playlist, self.marts, self.vocabulary)
            return TargetTracks(Catalog.build(self.track_rows, self.vocabulary), playlist)

        return ProfileExclusions.of(self.scan_mart("events"), load_targets)

    @cached_property
    def track_rows(self) -> pl.DataFrame:
        """The mart `tracks` in vocabulary order, without the two reserved codes (facets, titles, dates)."""
        order = pl.DataFrame({"track_id": self.vocabulary.track_ids_V[2:].tolist()}, schema={"track_id": pl.String})
        return order.join(self._track_rows, on="track_id", how="left", maintain_order="left")

    @cached_property
    def facets(self) -> dict[str, tuple[list[str], Ragged]]:
        """By facet: its values, sorted, and the indices of each of the V tracks' values (from 0)."""
        facets = {}
        for facet in FACETS:
            lists = self.track_rows.select(pl.col(facet).cast(pl.List(pl.String)).fill_null([]))[facet]
            values = sorted(
                value for value in lists.explode(empty_as_null=False).unique().to_list() if value is not None
            )
            code = {value: number for number, value in enumerate(values)}
            numbers = np.array(
                [code[value] for track_values in lists.to_list() for value in track_values], dtype=np.int64
            )
            lengths = np.concatenate([[0, 0, 0], lists.list.len().to_numpy()]).astype(np.int64)
            facets[facet] = (values, Ragged(numbers, np.cumsum(lengths)))
        return facets

    @cached_property
    def content(self) -> TrackContent:
        """Content vectors of the V tracks; comments written after the train part of the fit are ignored."""
        file = self.cache_folder / "content.safetensors" if self.cache_folder else None
        if file is not None and file.exists():
            return TrackContent.load(file)
        content = TrackContent.of(
            *load_content_tables(self.marts, self.track_rows, self.fit == "final")
        ).prepend_empty_rows(FIRST_CODE)
        if file is not None:
            content.save(file)
        return content

    def reader(self, view: str) -> DenseReader:
        """Point-in-time reader of a sequence view over all `events` of the sampled users.

        Raises:
            KeyError: there is no such view.
        """
        from sequences.offline.dense_reader import DenseReader

        if view not in self._readers:
            self._readers[view] = DenseReader(
                self.marts / "events.parquet",
                SEQUENCE_VIEWS[view],
                self.vocabulary.encoders(),
                None if self.sampled_user_ids is None else self.sampled_user_ids.to_arrow(),
                self.cache_folder / view if self.cache_folder else None,
            )
        return self._readers[view]

    def recall_cases(self, part: str) -> RecallCases:
        """Sessions that begin in `part` and have a listen, by user and time.

        The `targets` of a case are the distinct tracks listened to (30 s or more) in the session, by first appearance; in
        `train`, from which models learn, only tracks played in that part.
        `repeat`: targets that the user had played before the session, for any duration. `discovery`: all other targets.
        `reachable`: discoveries in the catalog; in `validation`, those in `validation_catalog_V`.
        """
        begins = np.unique(self.plays.session_start_P)
        reachable_V = self.validation_catalog_V if part == "validation" else self.catalog_V
        return self.recall_cases_from_rows(begins[self.plays.part_P[begins] == PARTS.index(part)], reachable_V)

    def recall_cases_from_rows(self, rows: np.ndarray, reachable_V: np.ndarray) -> RecallCases:
        """Cases that start at the given plays and end with their session; a session of `train` ends with that part.

        The request time is the time of the play. Cases without a listen are left out.

        Args:
            rows: Rows of `plays`, ascending, at most one per session.
            reachable_V: Which discoveries count as reachable.
        """
        plays = self.plays
        case_of_start = np.full(len(plays), -1, dtype=np.int64)
        case_of_start[plays.session_start_P[rows]] = np.arange(len(rows))
        is_train_P = plays.part_P == PARTS.index("train")
        is_target_P = plays.is_listened_P & (is_train_P | ~is_train_P[plays.session_start_P])
        listen = np.flatnonzero(is_target_P & (case_of_start[plays.session_start_P] >= 0))
        listen = listen[listen >= rows[case_of_start[plays.session_start_P[listen]]]]
        case, track = case_of_start[plays.session_start_P[listen]], plays.track_P[listen]
        _, first = np.unique(np.stack([case, track]), axis=1, return_index=True)
        first.sort()
        listen, case, track = listen[first], case[first], track[first]
        is_repeat = self.first_play_row_P[listen] < rows[case]
        nonempty, case = np.unique(case, return_inverse=True)
        begins = rows[nonempty]
        is_kind = {
            "targets": np.ones(len(listen), dtype=bool),
            "repeat": is_repeat,
            "discovery": ~is_repeat,
            "reachable": ~is_repeat & reachable_V[track],
        }
        return RecallCases(
            user_ids=self.user_ids_U[plays.user_P[begins]],
            user_C=plays.user_P[begins].astype(np.int64),
            play_number_C=plays.play_number_P[begins].astype(np.int64),
            request_at_C=plays.request_at_P[begins],
            scenes=self.scene_P.gather(begins).cast(pl.String).to_numpy(),
            items={kind: Ragged.of(track[mask], case[mask], len(begins)) for kind, mask in is_kind.items()},
        )

    @cached_property
    def validation_catalog_V(self) -> np.ndarray:
        """Tracks of the catalog that a fit on `train` could recommend in validation, bool [V].

        These were played in `train` or have a release date. The catalog itself is derived from the log, so it contains
        tracks whose first play is in the session to predict.
        """
        is_valid_V = np.zeros(len(self.vocabulary), dtype=bool)
        is_valid_V[self.plays.track_P[self.plays.part_P == PARTS.index("train")]] = True
        dated = self.track_rows.select(pl.col("released_on").is_not_null() | pl.col("available_from").is_not_null())
        is_valid_V[FIRST_CODE:] |= dated.to_series().to_numpy()
        is_valid_V &= self.catalog_V
        return is_valid_V

    @cached_property
    def first_play_row_P(self) -> np.ndarray:
        """For each play, the row of the user's first play of the same track."""
        plays = self.plays
        key = plays.user_P * np.int64(len(self.vocabulary)) + plays.track_P
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        return first[inverse]


def _collection_ids(marts: Path) -> list[str]:
    """Ids of all playlists and mlogs in the marts."""
    paths = {kind: marts / f"{mart}.parquet" for kind, mart in COLLECTION_MARTS.items()}
    return [
        name for kind, path in paths.items() if path.exists() for name in pl.read_parquet(path)[f"{kind}_id"].to_list()
    ]


def _aliases(marts: Path) -> dict[str, str]:
    """Other ids of tracks; marts of earlier versions have none."""
    file = marts / "track_aliases.parquet"
    return dict(pl.read_parquet(file, columns=["alias_id", "track_id"]).iter_rows()) if file.exists() else {}


def archive_plays(data: TrainingData, parts: tuple[str, ...] = ("train",)) -> PlayArchive:
    """The plays of some parts of the data, as channels store them."""
    plays = data.plays
    rows = np.flatnonzero(np.isin(plays.part_P, [PARTS.index(part) for part in parts]))
    count_U = np.bincount(plays.user_P[rows], minlength=len(data.user_ids_U))
    outcome_P = plays.is_listened_P[rows].astype(np.int8)
    outcome_P[plays.is_full_play_P[rows]] = FULL_PLAY
    return PlayArchive(
        tuple(str(user) for user in data.user_ids_U),
        np.concatenate([[0], np.cumsum(count_U)]).astype(np.int64),
        plays.track_P[rows].astype(np.int32),
        plays.known_at_P[rows],
        outcome_P,
        plays.play_number_P[plays.session_start_P[rows]],
    )
