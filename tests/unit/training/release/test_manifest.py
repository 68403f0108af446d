"""The manifest names the encoders of the content that models read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.mart_tables import CONTENT_SCHEMA, table_file
from training.release.manifest import encoded_content


def test_the_lineage_has_version_and_number_of_encoded_tracks(tmp_path: Path) -> None:
    assert encoded_content(tmp_path) == {}
    row = {"encoder": "audio", "encoder_version": "v2", "content_hash": "0" * 64, "embedding": [1.0]}
    pq.write_table(
        pa.Table.from_pylist([row | {"track_id": name} for name in "ab"], CONTENT_SCHEMA), table_file(tmp_path, "audio")
    )
    pq.write_table(CONTENT_SCHEMA.empty_table(), table_file(tmp_path, "image"))
    assert encoded_content(tmp_path) == {
        "audio": {"version": "v2", "tracks": 2},
        "image": {"version": None, "tracks": 0},
    }
