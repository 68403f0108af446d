"""Tables that Python writes beside the marts, and the mart `time_split`: where the parts for validation and test begin.

The tables are `track_content` (vectors of audio, covers and texts, one file per encoder) and `track_facets`.

`python -m training.encode_content` publishes `track_content_<encoder>.parquet` and `track_facets.parquet` next to the
marts, so that models, cache keys, releases and backups treat them like marts. All rows of a file of vectors are of one
version of the encoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

ENCODER_NAMES = ("audio", "image", "text")
"""Encoders of `training.encode_content`, in the same order."""


def _column(name: str, data_type: pa.DataType, description: str, required: bool = True) -> pa.Field:
    return pa.field(name, data_type, nullable=not required, metadata={"description": description})


CONTENT_SCHEMA = pa.schema(
    [
        _column("track_id", pa.string(), "Track of the mart `tracks`"),
        _column("encoder", pa.string(), f"Encoder: {', '.join(ENCODER_NAMES)}"),
        _column("encoder_version", pa.string(), "Version of the encoder; never mix vectors of two versions"),
        _column("content_hash", pa.string(), "SHA-256 of the encoded file, or of the encoded texts"),
        _column("embedding", pa.list_(pa.float32()), "Vector: 200 numbers of audio, 1,280 of a cover, 512 of texts"),
        _column(
            "tag_probabilities",
            pa.list_(pa.float32()),
            "Audio only: probabilities of MusiCNN's 50 tags, in their order",
            required=False,
        ),
        _column(
            "music_probability",
            pa.float32(),
            "Audio only: probability of being music; below 0.5 the audio is not used",
            required=False,
        ),
    ]
)

FACETS_TABLE = "track_facets"
FACET_SCHEMA = pa.schema(
    [
        _column("track_id", pa.string(), "Track without a value of the facet in its catalog"),
        _column("facet", pa.string(), "Facet: styles, emotions, themes"),
        _column("value", pa.string(), "Value of the facet"),
        _column("probability", pa.float32(), "Probability of the best tag for the value"),
        _column("source", pa.string(), "Where the value comes from: audio"),
    ]
)


def facets_file(marts: Path) -> Path:
    """File of the facets from audio, which does not exist before audio has been encoded."""
    return marts / f"{FACETS_TABLE}.parquet"


def table_file(marts: Path, encoder: str) -> Path:
    """File of the rows of one of ENCODER_NAMES, which does not exist before content has been encoded."""
    return marts / f"track_content_{encoder}.parquet"


TIME_SPLIT_MART = "time_split"


def read_time_split(marts: Path) -> dict[str, Any]:
    """The row of the mart `time_split`: split, and with a global split validation_from and test_from; empty without the mart."""
    path = marts / f"{TIME_SPLIT_MART}.parquet"
    return pl.read_parquet(path).row(0, named=True) if path.exists() else {}
