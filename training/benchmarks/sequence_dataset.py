"""Conversion of a plain sequence file to marts for fitting recall channels, and to requests.

Every item becomes a track with full plays, one per minute, each in a separate session, so that a case is one item to
predict. The gap before a request equals the gap between plays. Legend: R requests, P plays, U users.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from training.benchmarks.sequence_file import Sequences
from training.data.feature_services import ServiceContract
from training.data.training_data import FACETS, TrainingData
from training.recall import CHANNELS
from training.recipes import recipe

MINUTE_US, GAP_US = 60_000_000, 1_000_000
START_US = 1_577_836_800_000_000  # 2020-01-01 UTC, start of every sequence

ATTRIBUTE_FACET = "styles"


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
        return cls(data, _requests(data, names, validation), _requests(data, request_users, sequences.test))


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
