"""DuckDB and Spark build equal marts, also incrementally.

The data are a simulation of 4,000 events (500,000 with SEGUE_ACCEPTANCE) and handmade rows for cases that the
simulation lacks.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.land import land
from ingestion.simulate import WorldSize, simulate
from local.publish_marts import publish
from tests.integration.dbt.test_marts import bot, world
from tests.integration.dbt.test_track_sources import SOURCES
from tests.support import landing_zone, spark
from tests.support.dbt_process import WITHOUT_TESTS, DbtProcess
from tests.support.landing_zone import at, built, event, write
from tests.support.progress import FULL

pytestmark = [spark.needs_spark]

SIZE = WorldSize(users=2_200, tracks=3_000, days=60) if FULL else WorldSize(users=200, tracks=300, days=6)
AS_OF = "2026-07-01"
PARTITIONS_LATE = 2
"""Number of the newest days that are landed after the first build."""

GONE = "2026-03-01"
"""A day outside the simulated period of either size."""

LOOKBACK = 2
"""Number of earlier days that are read again: `lookback_days`, minus the newest day."""


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Engine to home. The first build covers some days; the second all days, a late event and a deleted file."""
    folder = tmp_path_factory.mktemp("engines")
    homes = {engine: folder / engine for engine in ("duckdb", "spark")}
    assert simulate(SIZE, folder / "world") >= (500_000 if FULL else 4_000)
    land(folder / "world", homes["duckdb"])
    for table, rows in by_hand().items():
        write(homes["duckdb"], table, "2026-06-01", "by-hand", rows)
    for table, rows in SOURCES.items():
        write(homes["duckdb"], table, "2026-06-01", "sources", rows)
    landing = homes["duckdb"] / "landing"
    later = sorted((landing / "listening_events").iterdir())[-PARTITIONS_LATE:]
    for day in later:
        day.rename(folder / day.name)
    gone = write(homes["duckdb"], "listening_events", GONE, "gone", [event("gone", "w", "play", "1", 70, played_ms=1)])
    homes["spark"].mkdir()
    shutil.copytree(landing, homes["spark"] / "landing")
    with engines(homes, folder) as build:
        build("--select", "stg_listening_events")
        gone.unlink()
        (homes["spark"] / gone.relative_to(homes["duckdb"])).unlink()
        for home in homes.values():
            for day in later:
                shutil.copytree(folder / day.name, home / "landing" / "listening_events" / day.name)
            late = event("late", "u", "play", "2", 61, played_ms=50_000, sequence_number=9)
            write(home, "listening_events", "2026-06-01", "late", [late, *world()[:2]])
        build()
    publish(homes["spark"] / "spark" / "marts", homes["spark"] / "marts")
    return homes


@contextmanager
def engines(homes: dict[str, Path], folder: Path) -> Iterator[Callable[..., None]]:
    """Function that builds the homes. At full size every build has a Spark of its own, as in production."""
    with ExitStack() as stack:
        if FULL:
            variables = spark.environment(homes["spark"], memory="2g", is_interpreted=False)
            on_spark = partial(landing_zone.build, homes["spark"], as_of=AS_OF, variables=variables)
        else:
            (folder / "dbt").mkdir()
            process = DbtProcess(folder / "dbt", spark.environment(folder / "dbt" / "home"), is_forked=False)
            stack.callback(process.close)

            def on_spark(*selected: str) -> Any:
                return process.build(homes["spark"], ["--vars", f"{{as_of: {AS_OF}}}", *WITHOUT_TESTS, *selected])

        def build(*selected: str) -> None:
            built(homes["duckdb"], *selected, as_of=AS_OF)
            run = on_spark(*selected)
            assert run.returncode == 0, run.stdout[-5000:]

        yield build


def by_hand() -> dict[str, list[dict[str, object]]]:
    """Ties, duplicates, unknown lengths, names in several Unicode forms, exposures, comments, triples."""
    shown = {"request_id": "q", "user_id": "v", "scene": "daily", "shown_at": at(58), "release": "r", "arm": "r"}
    shown |= {"target_type": "track", "propensity": 0.3, "is_exploration": False}
    names = ["Ｅｘ", "Beyoncé", "Beyonce\u0301", "ΟΔΟΣ", "ﾊﾞｯｸ", "バック", "Straße", "Ấn Độ", "naïve…", "Ё", " spaced "]
    return {
        "listening_events": [*world(), *bot()],
        "tracks": [
            {
                "track_id": "1",
                "title": "One",
                "artist_ids": ["made0"],
                "duration_ms": 200_000,
                "audio_vector": [0.5, 1.0],
            },
            {
                "track_id": "2",
                "title": "Two",
                "artist_ids": ["made1", "made0", "unlisted"],
                "lyrics": "la 'la'",
                "styles": ["pop"],
            },
        ],
        "artists": [{"artist_id": f"made{n}", "name": name} for n, name in enumerate(names)],
        "knowledge_triples": [
            {"head": f"artist_name:{name}", "relation": "has_genre", "tail": f"genre:{genre}"}
            for genre, name in enumerate(
                ["EX", "BEYONCÉ", "οδος", "バック", "STRASSE", "ấn độ", "NAÏVE...", "Ё", "spaced"]
            )
        ],
        "track_comments": [{"comment_id": "c", "track_id": "1", "text": "fine", "occurred_at": at(5)}],
        "exposures": [
            shown | {"event_id": "h", "target_id": "1", "position": 0, "channels": ["popularity", "realtime"]},
            shown | {"event_id": "i", "target_id": "2", "position": 1, "channels": []},
            shown | {"event_id": "j", "target_id": "2", "position": 1, "channels": [], "user_id": "bot"},
        ],
    }


def test_marts_are_equal_row_by_row(homes: dict[str, Path]) -> None:
    names = {engine: sorted(path.name for path in (home / "marts").glob("*.parquet")) for engine, home in homes.items()}
    assert names["spark"] == names["duckdb"]
    assert len(names["spark"]) > 15
    for name in {*names["spark"]} - {"changed_users.parquet"}:  # it has the numbers of the builds
        assert_equal_tables(homes["spark"] / "marts" / name, homes["duckdb"] / "marts" / name)


def test_spark_writes_only_changed_partitions(homes: dict[str, Path]) -> None:
    (table,) = (homes["spark"] / "spark" / "warehouse").rglob("stg_listening_events")
    written = {
        folder.name.split("=")[1]: max(file.stat().st_mtime for file in folder.glob("*.parquet"))
        for folder in table.glob("landed_partition=*")
    }
    assert GONE not in written, "a partition without files is gone"
    days = sorted(written)
    rewritten = {"2026-06-01", *days[-PARTITIONS_LATE - LOOKBACK :]}
    assert rewritten < set(days)
    assert max(written[day] for day in days if day not in rewritten) < min(written[day] for day in rewritten)


def fields(schema: pa.Schema) -> list[tuple[str, str]]:
    """Names and types of the fields, ignoring the names of list elements."""
    return [(field.name, str(field.type).replace("element: ", "item: ").replace("array_", "")) for field in schema]


def assert_equal_tables(ours_file: Path, theirs_file: Path) -> None:
    ours, theirs = pq.read_table(ours_file), pq.read_table(theirs_file)
    assert fields(ours.schema) == fields(theirs.schema), theirs_file
    assert ours.num_rows == theirs.num_rows, theirs_file
    for name in theirs.column_names:
        expected = theirs[name].cast(ours.schema.field(name).type)
        if not ours[name].equals(expected):
            pairs = zip(ours[name].to_pylist(), expected.to_pylist(), strict=True)
            different = [(row, one, other) for row, (one, other) in enumerate(pairs) if one != other]
            assert not different, f"{theirs_file}: {len(different)} values of {name} differ, e.g. {different[:3]}"
