"""Local tables and tables on object storage give equal results in landing, dbt, validation, Feast and training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import feast
import pandas as pd
import polars as pl
import pytest
from s3fs import S3FileSystem

from config import settings
from console.releases import landed_source_names
from event_store.opened import open_event_store
from ingestion.as_of import default_as_of
from ingestion.land import land
from ingestion.simulate import WorldSize, simulate
from local.land import list_landed_sources
from local.publish_marts import upload
from quality import table_metrics
from quality.tables import connect, find_landed_events
from sequences.feast_store import open_store
from sequences.offline.duckdb_store import SequenceOfflineStore
from sequences.sequence_views import SEQUENCE_VIEWS
from sequences.skew.compare import Arrivals
from sequences.skew.feature_log import LoggedRequest
from storage import object_store
from tests.support.dbt_process import WITHOUT_TESTS, dbt_on
from tests.support.log_sources import event, json_lines
from tests.support.pipeline_commands import FEAST, command

pytestmark = [pytest.mark.timeout(1800)]

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
AS_OF = date(2026, 7, 1)
MARTS = sorted(path.stem for path in (settings.ROOT / "dbt" / "models" / "marts").glob("*.sql"))
PLACES = ("disk", "objects")


@pytest.fixture(scope="module")
def places(server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, settings.Settings]]:
    """`disk` and `objects`: a simulation of twenty users and some invalid rows, landed and built in each."""
    folder = tmp_path_factory.mktemp("places")
    simulate(WorldSize(users=20, tracks=120, days=6), folder / "world")
    broken = json_lines(folder / "broken" / "own.jsonl", [event(1), event(2, action="hums"), event(3, user_id=None)])
    patch = pytest.MonkeyPatch()
    for name, value in server.items():
        patch.setenv(name, value)
    S3FileSystem().mkdir("places")
    found = {}
    for place in PLACES:
        placed(patch, folder, place)
        found[place] = here = settings.load_settings()
        for log in (folder / "world", broken.parent):
            land(log, here.home, now=NOW, tables=here.tables)
        build(here)
        command(here, "python", "-m", "local.publish_marts")
        command(here, *FEAST, "-c", "feature_repo", "apply")
    patch.undo()
    yield found


def build(here: settings.Settings, *selected: str) -> None:
    """Build marts from the tables of a place."""
    options = ["--vars", json.dumps({"as_of": str(AS_OF)}), *WITHOUT_TESTS, *selected]
    process = dbt_on("duckdb", here.tables_url) if here.tables_url else dbt_on("duckdb")
    run = process.build(here.home, options)
    assert run.returncode == 0, run.stdout[-5000:]


@pytest.fixture
def at(
    places: dict[str, settings.Settings], server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, settings.Settings]]:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    yield places


def placed(patch: pytest.MonkeyPatch, folder: Path, place: str) -> None:
    patch.setenv("SEGUE_HOME", str(folder / place))
    patch.setenv("SEGUE_TABLES", "s3://places/of/tables" if place == "objects" else "")
    patch.delenv("SEGUE_MARTS", raising=False)  # `open_store` sets it for its process


def rows(files: list[Path]) -> dict[str, pl.DataFrame]:
    return {path.name: pl.read_parquet(path.read_bytes()) for path in files}


def test_landed_and_quarantined_files_are_equal(at: dict[str, settings.Settings]) -> None:
    for folder in ("landing", "quarantine"):
        files = {place: object_store.list_files(here.tables / folder, "*/dt=*/*.parquet") for place, here in at.items()}
        names = {place: [path.parts[-3:] for path in found] for place, found in files.items()}
        assert names["disk"] == names["objects"] and files["disk"]
        disk, objects = (rows(files[place]) for place in PLACES)
        assert all(disk[name].equals(objects[name]) for name in disk)
    assert not (at["objects"].home / "quarantine").exists()
    assert not list(at["objects"].home.rglob("dt=*"))


def test_second_landing_changes_nothing(at: dict[str, settings.Settings]) -> None:
    here = at["objects"]
    before = object_store.list_files(here.tables, "*/*/*/*")
    counts = land(here.home.parent / "world", here.home, now=NOW, tables=here.tables)["own_events"]
    assert counts.landed == 0 and counts.duplicate == counts.read > 500
    assert list(map(str, object_store.list_files(here.tables, "*/*/*/*"))) == list(map(str, before))
    assert default_as_of(here.tables) == default_as_of(at["disk"].tables) == AS_OF


@pytest.mark.parametrize("name", MARTS)
def test_marts_are_equal_row_by_row(at: dict[str, settings.Settings], name: str) -> None:
    disk, objects = (pl.read_parquet(object_store.fetch_marts(at[place]) / f"{name}.parquet") for place in PLACES)
    assert disk.drop("build", strict=False).equals(objects.drop("build", strict=False)), "but for the numbers of builds"
    assert (at["objects"].marts / f"{name}.parquet").exists()
    assert not (at["objects"].home / "marts").exists()


def test_validation_and_names_of_landed_files_are_equal(at: dict[str, settings.Settings]) -> None:
    metrics, sources = [], []
    for here in at.values():
        with connect(here.tables) as connection:
            landed, is_month = find_landed_events(connection, here.landing, AS_OF)
            metrics.append((table_metrics.hours_before(landed, AS_OF), is_month))
        sources.append((list_landed_sources(here), landed_source_names(here)))
    assert metrics[0] == metrics[1] and sources[0] == sources[1]


def test_feast_features_are_equal(at: dict[str, settings.Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    plays = pl.read_parquet(object_store.fetch_marts(at["disk"]) / "plays.parquet").sort("user_id", "known_at")
    entities = pd.DataFrame(
        {
            "user_id": plays["user_id"].to_list(),
            "event_timestamp": pd.to_datetime(plays["known_at"].to_list(), utc=True),
        }
    )
    answers = []
    for place, here in at.items():
        placed(monkeypatch, here.home.parent, place)
        store = open_store()
        refs = [
            f"{view}:{feature.name}"
            for view in (*SEQUENCE_VIEWS, "user_profile")
            for feature in store.get_feature_view(view).features
        ]
        features = store.get_historical_features(entities, refs, full_feature_names=True).to_arrow()
        answers.append((pl.DataFrame(features), newest_profiles(store), arrived(here, entities["user_id"])))
    assert answers[0][0].height == len(entities) and answers[0][0].equals(answers[1][0])
    assert answers[0][1].equals(answers[1][1]) and answers[0][1].height > 10
    assert answers[0][2] == answers[1][2] and answers[0][2]


def newest_profiles(store: feast.FeatureStore) -> pl.DataFrame:
    """Rows that `feast materialize` would write for the ordinary view `user_profile`."""
    source, names = store.get_feature_view("user_profile").batch_source, ["plays_total", "skips_total"]
    job = SequenceOfflineStore.pull_latest_from_table_or_query(
        store.config, source, ["user_id"], names, "known_at", None, datetime(2026, 1, 1, tzinfo=UTC), NOW
    )
    return pl.DataFrame(job.to_arrow()).sort("user_id")


def arrived(here: settings.Settings, users: pd.Series) -> set[str]:
    store = open_event_store(here)
    any_build = LoggedRequest("q", "u", 0, "r", None, {}, {}, ("2026-07-01", 1))
    found = Arrivals(store, here.landing)._landed_after(any_build)
    store.close()
    return {event for event, (user, _) in found.items() if user in set(users)}


def test_dbt_does_not_publish_by_itself(at: dict[str, settings.Settings]) -> None:
    """A build alone does not change published marts on object storage; `python -m local.publish_marts` uploads them."""
    here = at["objects"]
    before = {str(path): path.stat().st_mtime for path in object_store.list_files(here.marts, "*")}
    build(here, "--select", "time_split")
    assert {str(path): path.stat().st_mtime for path in object_store.list_files(here.marts, "*")} == before
    assert upload(here.built_marts, here.marts) == ["time_split"]
    assert not list(here.built_marts.iterdir())
