"""Plain sequence files, and their conversion to marts for fitting recall channels and to requests.

A file has one line `id item item …` per user, items in temporal order. Leave-one-out (the files of S3-Rec: Zhou et al.,
"S3-Rec: Self-Supervised Learning for Sequential Recommendation with Mutual Information Maximization", CIKM 2020, arXiv
2008.07873): the last item of a line is test, the one before it validation. With a separate test file of lines
`item item …<TAB>target`, the last item of a line is validation.

Every item becomes a track with full plays, one per minute, each in a separate session, so that a case is one item to
predict. The gap before a request equals the gap between plays.

Legend: R requests, P plays, U users.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from training.content.facets import FACETS
from training.data.feature_services import ServiceContract
from training.data.training_data import TrainingData
from training.recall.registry import CHANNELS
from training.recipes import recipe

MINUTE_US, GAP_US = 60_000_000, 1_000_000
START_US = 1_577_836_800_000_000  # 2020-01-01 UTC, start of every sequence

ATTRIBUTE_FACET = "styles"


@dataclass(frozen=True)
class Sequences:
    """Split sequences of all users."""

    train: list[list[str]]  # training items of each user, oldest first
    validation: list[str]  # next item of each user
    test: list[tuple[list[str], str]]  # (history, next item)
    is_leave_one_out: bool  # whether history u of `test` is `train[u]` followed by `validation[u]`

    @property
    def items(self) -> list[str]:
        """The catalog, sorted: all items of the sequence file, as in the published protocol, but not those of a test
        file.
        """
        catalog = {item for items in self.train for item in items} | set(self.validation)
        return sorted(catalog | ({target for _, target in self.test} if self.is_leave_one_out else set()))

    @property
    def has_repeats(self) -> bool:
        """Whether a training sequence contains an item more than once."""
        return any(len(set(items)) < len(items) for items in self.train)


def read_sequences(path: Path, test: Path | None = None) -> Sequences:
    """Read the sequences of a file and, if there is one, the requests of its test file.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A line is invalid; the message names it.
    """
    minimum, reason = (2, "one to train on, one to validate") if test else (3, "one to train on, two held out")
    line_of_id: dict[str, int] = {}
    rows = []
    for number, line in _lines(path):
        name, *items = line.split()
        if name in line_of_id:
            raise ValueError(
                f"{path}, line {number}: id {name!r} is already on line {line_of_id[name]}; join the two lines, "
                "each user has one line"
            )
        if len(items) < minimum:
            raise ValueError(
                f"{path}, line {number}: {len(items)} items after id {name!r}, at least {minimum} are required "
                f"({reason}); remove the line, and check that lines are `id item item …`"
            )
        line_of_id[name] = number
        rows.append(items)
    if not rows:
        raise ValueError(f"{path} has no line; write one line `id item item …` per user")
    if test is None:
        pairs = [(items[:-1], items[-1]) for items in rows]
        return Sequences([items[:-2] for items in rows], [items[-2] for items in rows], pairs, is_leave_one_out=True)
    return Sequences(
        [items[:-1] for items in rows], [items[-1] for items in rows], _test_pairs(test), is_leave_one_out=False
    )


def read_attributes(path: Path, items: list[str]) -> dict[str, list[str]]:
    """Distinct attributes of each item that has any, most frequent first, from JSON `{item: [attribute, …]}`.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: It is not JSON of this form, or has none of the items.
    """
    try:
        content = json.loads(_require_file(path).read_text(encoding="utf-8"))
        lists = {
            str(item): [str(value) for value, _ in Counter(values).most_common()] for item, values in content.items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not JSON of the form {{item: [attribute, …]}}: {error}") from error
    attributes = {item: lists[item] for item in items if lists.get(item)}
    if not attributes:
        raise ValueError(f"{path} has attributes for none of the {len(items)} items; give the file of the same data")
    return attributes


@dataclass(frozen=True)
class Requests:
    """R requests for the next item."""

    user_ids: list[str]
    request_at_R: np.ndarray  # µs
    target_R: np.ndarray  # vocabulary codes
    histories: list[np.ndarray]  # vocabulary codes of all earlier items

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.user_ids)


@dataclass(frozen=True)
class SequenceDataset:
    """Training data of a channel and its requests."""

    data: TrainingData
    validation: Requests
    test: Requests
    has_repeats: bool  # whether items of the history are candidates

    @classmethod
    def build(
        cls,
        sequences: Sequences,
        folder: Path,
        attributes: dict[str, list[str]] | None = None,
        is_final: bool = False,
    ) -> SequenceDataset:
        """Write the marts to `folder` and read them.

        Args:
            sequences: Sequences.
            folder: Folder of the marts.
            attributes: Attributes by item, used as a facet and as knowledge triples.
            is_final: Whether the validation items are part of the training data.
        """
        users = [
            [*items, last, *([target] if sequences.is_leave_one_out else [])]
            for items, last, (_, target) in zip(
                sequences.train,
                sequences.validation,
                sequences.test if sequences.is_leave_one_out else [([], "")] * len(sequences.train),
                strict=True,
            )
        ]
        parts = [
            ["train"] * len(items)
            + ["train" if is_final else "validation"]
            + (["test"] if sequences.is_leave_one_out else [])
            for items in sequences.train
        ]
        names = [f"user-{number:07d}" for number in range(len(users))]
        test_histories = [] if sequences.is_leave_one_out else [history for history, _ in sequences.test]
        request_users = (
            names if sequences.is_leave_one_out else [f"test-{number:07d}" for number in range(len(test_histories))]
        )
        plays = _plays(names, users).with_columns(
            part=pl.Series([part for user_parts in parts for part in user_parts], dtype=pl.String)
        )
        folder.mkdir(parents=True, exist_ok=True)
        plays.write_parquet(folder / "plays.parquet")
        # Users of a test file have events but no plays of a part, so that no channel is fitted on them.
        events = (
            pl.concat([plays.drop("part"), _plays(request_users, test_histories)])
            if test_histories
            else plays.drop("part")
        )
        events.sort("user_id", "known_at").write_parquet(folder / "events.parquet")
        _tracks(sequences.items, attributes or {}).write_parquet(folder / "tracks.parquet")
        triples = [
            (f"track:{item}", "has_style", f"style:{value}")
            for item, values in (attributes or {}).items()
            for value in values
        ]
        schema = {"head": pl.String, "relation": pl.String, "tail": pl.String}
        pl.DataFrame(triples, schema=schema, orient="row").write_parquet(folder / "knowledge_triples.parquet")
        contract = ServiceContract(("recent_events", "played_history"))
        services = {channel.feature_service: contract for channel in CHANNELS.values()}
        data = TrainingData(folder, "held_out", recipe("small"), services=services)
        validation = [(items, last) for items, last in zip(sequences.train, sequences.validation, strict=True)]
        requests = _requests(data, names, validation), _requests(data, request_users, sequences.test)
        return cls(data, *requests, sequences.has_repeats)


def _test_pairs(path: Path) -> list[tuple[list[str], str]]:
    pairs = []
    for number, line in _lines(path):
        history, tab, target = line.rpartition("\t")
        if not tab or len(target.split()) != 1:
            raise ValueError(f"{path}, line {number}: no single item after a tab; write `item item …<TAB>target`")
        pairs.append((history.split(), target.strip()))
    if not pairs:
        raise ValueError(f"{path} has no line; write one line `item item …<TAB>target` per request")
    return pairs


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank."""
    try:
        text = _require_file(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); give a plain sequence file") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; check the path")
    return path


def _requests(data: TrainingData, names: list[str], pairs: list[tuple[list[str], str]]) -> Requests:
    encode = data.vocabulary.encode
    return Requests(
        user_ids=names,
        request_at_R=np.array([_request_at(len(history)) for history, _ in pairs], dtype=np.int64),
        target_R=encode([target for _, target in pairs]),
        histories=[encode(history) for history, _ in pairs],
    )


def _request_at(number: Any) -> Any:
    """Request time of play number 0, 1, … of a sequence, µs."""
    return START_US + MINUTE_US * number + GAP_US


def _plays(names: list[str], sequences: list[list[str]]) -> pl.DataFrame:
    """Rows of the marts `plays` and `events`, in the order of the sequences."""
    length_U = np.array([len(items) for items in sequences], dtype=np.int64)
    number_P = np.concatenate([np.arange(length) for length in length_U]) if len(length_U) else np.zeros(0, np.int64)
    user_id = pl.Series(np.repeat(np.array(names, dtype=object), length_U).tolist(), dtype=pl.String)
    track_id = pl.Series([item for items in sequences for item in items], dtype=pl.String)
    request_at = pl.Series(_request_at(number_P), dtype=pl.Int64).cast(pl.Datetime("us"))
    ended_at = pl.Series(_request_at(number_P) + MINUTE_US - GAP_US, dtype=pl.Int64).cast(pl.Datetime("us"))
    rows = pl.DataFrame(
        {
            "user_id": user_id,
            "play_number": pl.Series(number_P, dtype=pl.Int64),
            "track_id": track_id,
            "request_at": request_at,
            "known_at": ended_at,
        }
    )
    event_id = pl.col("user_id") + "-" + pl.col("play_number").cast(pl.String).str.zfill(7)
    return rows.with_columns(
        event_id=event_id,
        session_id=event_id,
        event_number="play_number",
        sequence_number="play_number",
        occurred_at="request_at",
        ended_at="known_at",
        action=pl.lit("play"),
        behaviour=pl.lit("full_play"),
        target_type=pl.lit("track"),
        target_id="track_id",
        played_ratio=pl.lit(1.0, dtype=pl.Float32),
        is_listened=pl.lit(True),
        scene=pl.lit(None, dtype=pl.String),
    )


def _tracks(items: list[str], attributes: dict[str, list[str]]) -> pl.DataFrame:
    """Mart `tracks`: the catalog, with the attributes as one facet."""
    facets = {facet: pl.Series([[] for _ in items], dtype=pl.List(pl.String)) for facet in FACETS}
    facets[ATTRIBUTE_FACET] = pl.Series([attributes.get(item, []) for item in items], dtype=pl.List(pl.String))
    return pl.DataFrame({"track_id": items} | facets, schema_overrides={"track_id": pl.String}).with_columns(
        title=pl.lit(None, dtype=pl.String),
        artist_id=pl.lit(None, dtype=pl.String),
        artist_names=pl.lit(None, dtype=pl.List(pl.String)),
        released_on=pl.lit(None, dtype=pl.Date),
        available_from=pl.lit(None, dtype=pl.Datetime("us")),
        is_in_catalogue=pl.lit(True),
    )
