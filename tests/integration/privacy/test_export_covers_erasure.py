"""An export of a user's data has rows of every store in which an erasure finds rows of the user."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from config import settings
from event_store.opened import now_us, open_event_store, open_serving_state
from event_store.store import DAY_US
from privacy import erase
from serving.inspection.stored_data import collect_stored_data
from storage.user_data import PARQUET_FOLDERS
from tests.support.log_sources import json_lines
from tests.support.recorded import record, recorded_event, shown

TABLES = (
    "landing/listening_events/dt=2026-05-01/a.parquet",
    "marts/plays.parquet",
    "bentoml/models/segue/r1/heard.parquet",
    *(f"{name}/a.parquet" for name in PARQUET_FOLDERS if name != "bentoml"),
)
NAMES = {"landed events": "landing", "releases": "bentoml"}
"""Names of stores that an export calls differently."""
STORES = {
    **dict.fromkeys(("events", "private_sessions"), "event_store"),
    **dict.fromkeys(("exposures", "daily_lists"), "serving_state"),
}
"""Table of an export ▸ name of its store."""


@pytest.fixture
def here(here: settings.Settings, tmp_path: Path) -> settings.Settings:
    json_lines(here.feature_log / "dt=2026-05-01" / "requests-1-1.jsonl", [{"user_id": "alice", "event_id": "e"}])
    for name in TABLES:
        pl.DataFrame({"user_id": ["alice", "bob"], "event_id": ["e", "f"]}).write_parquet(tmp_path / name, mkdir=True)
    users, raws = (
        ["alice", "bob", None],
        ['{"user_id": "alice", "track": "t"}', '{"user_id": "bob", "track": "alice"}', ""],
    )
    file = tmp_path / "quarantine" / "listening_events" / "dt=2026-05-01" / "a.parquet"
    pl.DataFrame({"user_id": users, "raw": raws}).write_parquet(file, mkdir=True)
    record(
        tmp_path, [recorded_event(1, "alice", action="start_private"), recorded_event(2, "bob")], [shown(1, "alice")]
    )
    with closing(open_serving_state(here)) as state:
        state.replace_list("alice", now_us() // DAY_US, "", None, "[]", 7)
    return here


def export(here: settings.Settings) -> dict[str, Any]:
    with closing(open_event_store(here)) as events, closing(open_serving_state(here)) as state:
        return collect_stored_data("alice", here, events.export("alice") | state.export("alice"), {}).stores


@pytest.mark.parametrize("is_linked", [False, True])
def test_export_has_every_store_of_the_erasure(here: settings.Settings, tmp_path: Path, is_linked: bool) -> None:
    if is_linked:  # folders that were moved to a larger disk
        for name in PARQUET_FOLDERS:
            if name != "bentoml":
                moved = tmp_path.with_name("larger_disk") / name
                moved.parent.mkdir(exist_ok=True)
                (tmp_path / name).rename(moved)
                (tmp_path / name).mkdir()
                (tmp_path / name / "moved").symlink_to(moved)
    stores = export(here)
    assert {"marts/plays", *STORES} <= stores.keys()
    assert [row["raw"] for row in stores["quarantine/listening_events"]] == ['{"user_id": "alice", "track": "t"}']
    assert json.loads(json.dumps(stores)) == stores
    counts = erase.erase_users(["alice"], here)
    erased = {NAMES.get(name, name.replace(" ", "_")) for name, rows in counts.items() if rows["alice"]}
    exported = {name.split("/")[0] for name in stores}
    assert {STORES.get(name, name) for name in exported} == erased >= {*PARQUET_FOLDERS, "feature_log"}
    assert export(here) == {}
