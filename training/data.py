"""What a model learns from: the plays of every user as flat columns, the vocabulary, the catalogue and the recall
cases.

Legend: P plays, U users, V vocabulary, C cases. Rows are sorted by user, then `play_number`; times are int64 µs since
1970, UTC, and the numbers of a play int32. Knows nothing about torch or any model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from sequences.batch import FIRST, UNKNOWN
from sequences.definition import SEQUENCE_VIEWS
from training.content import COLUMNS, Content, content_tables
from training.recipes import Recipe
from training.vocabulary import Vocabulary

if TYPE_CHECKING:
    from sequences.dense import DenseReader
    from training.features import ServiceContract

PARTS = ("train", "validation", "test")
CASE_KINDS = ("targets", "repeat", "discovery", "reachable")
CONTAINER_MARTS = {"playlist": "playlists", "mlog": "mlogs"}
"""What holds tracks and is opened as one: type of target ▸ the mart that says what there is of it."""
FACETS = ("languages", "styles", "scenes", "emotions", "themes")


@dataclass(frozen=True)
class Plays:
    """Every play of every user. `part_P` indexes PARTS, `start_P` is the row of the first play of the play's
    session.
    """

    user_P: np.ndarray
    play_number_P: np.ndarray
    track_P: np.ndarray
    artist_P: np.ndarray
    known_at_P: np.ndarray
    request_at_P: np.ndarray
    part_P: np.ndarray
    is_listened_P: np.ndarray
    is_full_play_P: np.ndarray
    start_P: np.ndarray
    offset_U1: np.ndarray

    def __len__(self) -> int:
        """P."""
        return len(self.user_P)


@dataclass(frozen=True)
class Ragged:
    """C lists of items, flat: list c is `items[offset_C1[c]:offset_C1[c + 1]]`."""

    items: np.ndarray
    offset_C1: np.ndarray

    def __getitem__(self, case: int) -> np.ndarray:
        """The items of one case, in order."""
        return self.items[self.offset_C1[case] : self.offset_C1[case + 1]]

    @property
    def count_C(self) -> np.ndarray:
        """Length of each list."""
        return np.diff(self.offset_C1)

    @property
    def case_of_items(self) -> np.ndarray:
        """The case of every flat item."""
        return np.repeat(np.arange(len(self.offset_C1) - 1), self.count_C)

    def take(self, rows: np.ndarray) -> Ragged:
        """The lists of `rows`, in that order."""
        lists = [self[row] for row in rows]
        offset = np.concatenate([[0], np.cumsum([len(one) for one in lists], dtype=np.int64)])
        return Ragged(np.concatenate([*lists, np.zeros(0, dtype=np.int64)]).astype(np.int64), offset.astype(np.int64))


@dataclass(frozen=True)
class RecallCases:
    """C sessions to predict, one a row: who asks, when, and what was listened to (`items["targets"]`; see
    `TrainingData.recall_cases`).
    """

    user_ids: np.ndarray
    user_C: np.ndarray
    play_number_C: np.ndarray
    request_at_C: np.ndarray
    scenes: np.ndarray
    items: dict[str, Ragged]

    def __len__(self) -> int:
        """C."""
        return len(self.user_C)

    def take(self, rows: np.ndarray) -> RecallCases:
        """The cases of `rows`, in that order."""
        return RecallCases(
            self.user_ids[rows],
            self.user_C[rows],
            self.play_number_C[rows],
            self.request_at_C[rows],
            self.scenes[rows],
            {kind: lists.take(rows) for kind, lists in self.items.items()},
        )

    def sample(self, per_user: int, seed: int, most: int | None = None) -> RecallCases:
        """At most `per_user` cases of each user and `most` of all, drawn by `seed`, in the original order."""
        shuffled = np.random.default_rng(seed).permutation(len(self))
        shuffled = shuffled[np.argsort(self.user_C[shuffled], kind="stable")]
        users = self.user_C[shuffled]
        first = np.searchsorted(users, users)
        drawn = shuffled[np.arange(len(users)) - first < per_user]
        if most is not None:
            drawn = np.random.default_rng(seed).permutation(drawn)[:most]
        return self.take(np.sort(drawn))


@dataclass
class TrainingData:
    """The marts as a model sees them.

    `fit` = `held_out`: parts as the marts say; learn from `train`, choose on `validation`. `fit` = `final`: every play
    is `train`, the catalogue is whatever anybody has played or may be played by `as_of`. `content_file`: where the
    content of the tracks is kept, so that it is made once for all models; None: it is made for this one.

    Raises:
        FileNotFoundError: a mart is missing. ValueError: `fit` is neither of the two.
    """

    marts: Path
    fit: str
    recipe: Recipe
    services: Mapping[str, ServiceContract] = field(default_factory=dict)
    content_file: Path | None = None
    vocabulary: Vocabulary = field(init=False)
    plays: Plays = field(init=False)
    catalogue_V: np.ndarray = field(init=False)
    user_ids_U: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        if self.fit not in ("held_out", "final"):
            raise ValueError(f"fit={self.fit!r} is unknown; choose held_out or final")
        for name in ("plays", "tracks", "events"):
            if not (self.marts / f"{name}.parquet").exists():
                raise FileNotFoundError(f"no {name}.parquet in {self.marts}; run `dbt build` first")
        plays = pl.scan_parquet(self.marts / "plays.parquet")
        if self.fit == "final":
            plays = plays.with_columns(part=pl.lit("train"))
        # Words and vectors are larger than all the rest, and only `content` needs them.
        self._track_rows = pl.scan_parquet(self.marts / "tracks.parquet").drop(COLUMNS, strict=False).collect()
        learned = plays.filter(pl.col("part") == "train").select("track_id")
        self.vocabulary = Vocabulary.build(self._track_rows, learned, _container_ids(self.marts))
        users = plays.select(pl.col("user_id").unique().sort()).collect(engine="streaming")
        self.user_ids_U = users["user_id"].to_numpy().astype(object)
        rows = _read_plays(plays, self.user_ids_U.tolist(), self.vocabulary)
        self.plays = _columns(rows, self.vocabulary)
        self.scene_P = rows["scene"]
        self.catalogue_V = self._catalogue()
        self._readers: dict[str, DenseReader] = {}

    def _catalogue(self) -> np.ndarray:
        catalogue_V = np.zeros(len(self.vocabulary), dtype=bool)
        known = self._track_rows.filter(pl.col("is_in_catalogue"))["track_id"].to_list()
        catalogue_V[self.vocabulary.encode(known)] = True
        if self.fit == "final":
            catalogue_V[self.plays.track_P] = True
            newest = self.plays.known_at_P.max(initial=0)
            day = date(1970, 1, 1).toordinal() + newest // 86_400_000_000
            catalogue_V[self.vocabulary.encode(self._available_by(date.fromordinal(int(day))))] = True
        catalogue_V[:2] = False
        return catalogue_V

    def _available_by(self, day: date) -> list[str]:
        by_release = pl.col("released_on").cast(pl.Date) <= day
        by_right = pl.col("available_from").cast(pl.Datetime("us")) <= datetime(day.year, day.month, day.day)
        ids: list[str] = self._track_rows.filter(by_release | by_right)["track_id"].to_list()
        return ids

    @cached_property
    def track_rows(self) -> pl.DataFrame:
        """The mart `tracks` in vocabulary order, rows 2.. of V (facets, titles, dates)."""
        order = pl.DataFrame({"track_id": self.vocabulary.track_ids_V[2:].tolist()}, schema={"track_id": pl.String})
        return order.join(self._track_rows, on="track_id", how="left", maintain_order="left")

    @cached_property
    def facets(self) -> dict[str, tuple[list[str], Ragged]]:
        """Facet name → (its values sorted, for each of the V tracks the numbers of its values, from 0)."""
        found = {}
        for facet in FACETS:
            lists = self.track_rows.select(pl.col(facet).cast(pl.List(pl.String)).fill_null([]))[facet]
            values = sorted(
                value for value in lists.explode(empty_as_null=False).unique().to_list() if value is not None
            )
            code = {value: number for number, value in enumerate(values)}
            numbers = np.array([code[value] for one in lists.to_list() for value in one], dtype=np.int64)
            lengths = np.concatenate([[0, 0, 0], lists.list.len().to_numpy()]).astype(np.int64)
            found[facet] = (values, Ragged(numbers, np.cumsum(lengths)))
        return found

    @cached_property
    def content(self) -> Content:
        """What each of the V tracks is by its names, words and vectors; of the comments those that the fit may know."""
        if self.content_file is not None and self.content_file.exists():
            return Content.load(self.content_file)
        content = Content.of(*content_tables(self.marts, self.track_rows, self.fit == "final")).behind(FIRST)
        if self.content_file is not None:
            content.save(self.content_file)
        return content

    def reader(self, view: str) -> DenseReader:
        """The dense reader of a sequence view, over all of `events`: what it returns depends on the time asked for
        only.

        Raises:
            KeyError: no such view.
        """
        from sequences.dense import DenseReader

        if view not in self._readers:
            self._readers[view] = DenseReader(
                self.marts / "events.parquet", SEQUENCE_VIEWS[view], self.vocabulary.encoders()
            )
        return self._readers[view]

    def recall_cases(self, part: str) -> RecallCases:
        """Sessions that begin in `part` with something listened to, by user and time.

        A case's `targets` are the session's distinct tracks listened to (30 s and more), in order of first appearance;
        `repeat`: those the user had played before the session, at any length; `discovery`: the others; `reachable`:
        discoveries in the catalogue, of `validation` those that `known_V` holds.

        Raises:
            ValueError: no such part.
        """
        if part not in PARTS:
            raise ValueError(f"part={part!r} is unknown; choose one of {', '.join(PARTS)}")
        begins = np.unique(self.plays.start_P)
        reachable_V = self.known_V if part == "validation" else self.catalogue_V
        return self.cases_from(begins[self.plays.part_P[begins] == PARTS.index(part)], reachable_V)

    def cases_from(self, rows: np.ndarray, reachable_V: np.ndarray | None = None) -> RecallCases:
        """What was listened to from some plays on to the end of their session: `rows` of `plays`, one a session, ascending.

        The request is the play's own. Who listened to nothing more is left out. `reachable_V`: which discoveries are; None:
        those in the catalogue.
        """
        if reachable_V is None:
            reachable_V = self.catalogue_V
        plays = self.plays
        case_of_start = np.full(len(plays), -1, dtype=np.int64)
        case_of_start[plays.start_P[rows]] = np.arange(len(rows))
        heard = np.flatnonzero(plays.is_listened_P & (case_of_start[plays.start_P] >= 0))
        heard = heard[heard >= rows[case_of_start[plays.start_P[heard]]]]
        case, track = case_of_start[plays.start_P[heard]], plays.track_P[heard]
        _, first = np.unique(np.stack([case, track]), axis=1, return_index=True)
        first.sort()
        heard, case, track = heard[first], case[first], track[first]
        is_repeat = self.first_row_P[heard] < rows[case]
        kept, case = np.unique(case, return_inverse=True)
        begins = rows[kept]
        is_kind = {
            "targets": np.ones(len(heard), dtype=bool),
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
            items={kind: _ragged(track[mask], case[mask], len(begins)) for kind, mask in is_kind.items()},
        )

    @cached_property
    def known_V(self) -> np.ndarray:
        """What of the catalogue a fit of the `train` part may bring in a validation session, bool [V]: played in `train`, or
        dated by the catalogue.

        The catalogue of a log is made of the log: it holds tracks whose first play is the very session to predict.
        """
        known_V = np.zeros(len(self.vocabulary), dtype=bool)
        known_V[self.plays.track_P[self.plays.part_P == PARTS.index("train")]] = True
        dated = self.track_rows.select(pl.col("released_on").is_not_null() | pl.col("available_from").is_not_null())
        known_V[FIRST:] |= dated.to_series().to_numpy()
        known_V &= self.catalogue_V
        return known_V

    @cached_property
    def first_row_P(self) -> np.ndarray:
        """For each play, the row of the user's first play of that track."""
        plays = self.plays
        key = plays.user_P * np.int64(len(self.vocabulary)) + plays.track_P
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        return first[inverse]


def _container_ids(marts: Path) -> list[str]:
    """Ids of all playlists and mlogs that the marts know."""
    paths = {kind: marts / f"{mart}.parquet" for kind, mart in CONTAINER_MARTS.items()}
    return [
        name for kind, path in paths.items() if path.exists() for name in pl.read_parquet(path)[f"{kind}_id"].to_list()
    ]


def _read_plays(plays: pl.LazyFrame, user_ids: Sequence[str], vocabulary: Vocabulary) -> pl.DataFrame:
    """The plays in order. Texts become numbers piece by piece as they are read: in memory they would be most of it."""
    rows = plays.select(
        user=_place_in("user_id", user_ids),
        number=pl.col("play_number").cast(pl.Int32),
        track=(_place_in("track_id", vocabulary.track_ids_V[FIRST:].tolist()) + FIRST).fill_null(UNKNOWN),
        known_at=_microseconds("known_at"),
        request_at=_microseconds("request_at"),
        part=_place_in("part", PARTS).cast(pl.Int8),
        is_listened="is_listened",
        is_full_play=pl.col("behaviour") == "full_play",
        session=pl.col("session_id").cast(pl.Categorical),
        scene=pl.col("scene").cast(pl.Categorical),
    )
    return rows.sort("user", "number").collect(engine="streaming")


def _columns(rows: pl.DataFrame, vocabulary: Vocabulary) -> Plays:
    user_P, track_P = rows["user"].to_numpy(), rows["track"].to_numpy()
    session_P = rows.select(pl.struct("user", "session").rle_id()).to_series().to_numpy()
    starts = np.unique(session_P, return_index=True)[1].astype(np.int32)
    return Plays(
        user_P=user_P,
        play_number_P=rows["number"].to_numpy(),
        track_P=track_P,
        artist_P=vocabulary.artist_of_track_V.astype(np.int32)[track_P],
        known_at_P=rows["known_at"].to_numpy(),
        request_at_P=rows["request_at"].to_numpy(),
        part_P=rows["part"].to_numpy(),
        is_listened_P=rows["is_listened"].to_numpy(),
        is_full_play_P=rows["is_full_play"].to_numpy(),
        start_P=starts[session_P],
        offset_U1=np.concatenate([np.unique(user_P, return_index=True)[1], [len(user_P)]]).astype(np.int64),
    )


def _place_in(column: str, texts: Sequence[str]) -> pl.Expr:
    """The place of each text among `texts`; null where it is not among them."""
    return pl.col(column).cast(pl.Enum(texts), strict=False).to_physical().cast(pl.Int32)


def _microseconds(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Datetime("us")).cast(pl.Int64)


def _ragged(items: np.ndarray, case: np.ndarray, cases: int) -> Ragged:
    counts = np.bincount(case, minlength=cases)
    return Ragged(items.astype(np.int64), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
