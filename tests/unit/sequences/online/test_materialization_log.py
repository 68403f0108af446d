"""The log of materialization runs after a crash or a full disk."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa

from sequences.online.materialization_state import (
    MATERIALIZATION_LOG,
    read_materializations,
    record_materialization,
)
from tests.support.published_changes import publish_whole


def test_a_line_that_was_not_written_whole_hides_no_other_run(tmp_path: Path) -> None:
    publish_whole(tmp_path, "events", [{"user_id": "u"}], pa.schema([("user_id", pa.string())]), "1")
    record_materialization(tmp_path, date(2026, 6, 1), tmp_path)
    with (tmp_path / MATERIALIZATION_LOG).open("a") as log:
        log.write('{"as_of_us": 1')
    assert len(read_materializations(tmp_path)) == 1
    record_materialization(tmp_path, date(2026, 6, 2), tmp_path)
    first, second = read_materializations(tmp_path)
    assert second.as_of_us - first.as_of_us == 86_400_000_000
