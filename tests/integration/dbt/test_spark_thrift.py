"""dbt through a Thrift server on loopback, as in a cluster, builds the same marts as DuckDB."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from config.bind_address import is_free
from local.publish_marts import publish
from tests.integration.dbt.test_marts import world
from tests.integration.dbt.test_spark_marts import assert_equal_tables
from tests.support import background, spark
from tests.support.landing_zone import built, event, write, write_empty_tables
from tests.support.ports import free_port
from tests.support.tiers import acceptance_only
from tests.support.waiting import wait_until

pytestmark = [spark.needs_spark, acceptance_only]

SERVER = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
SECONDS = 300


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the server, host:port."""
    import pyspark

    home, port = tmp_path_factory.mktemp("server"), free_port()
    variables = spark.environment(home)
    *options, _ = shlex.split(variables.pop("PYSPARK_SUBMIT_ARGS"))
    command = [
        *(str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), *options, "--class", SERVER, "spark-internal"),
        *("--hiveconf", "hive.server2.thrift.bind.host=127.0.0.1", "--hiveconf", f"hive.server2.thrift.port={port}"),
    ]
    log = home / "server.log"
    server = background.start(command, os.environ | variables, home, log)
    try:
        wait_until(lambda: not server.is_running() or not is_free("127.0.0.1", port), "the server", SECONDS)
        assert server.is_running(), log.read_text()[-3000:]
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(timeout_s=60)


def test_thrift_server_builds_the_same_marts_as_duckdb(server: str, tmp_path: Path) -> None:
    """Two builds, the second with a late event and another day, cover incremental processing on the server."""
    homes = {engine: tmp_path / engine for engine in ("duckdb", "spark")}
    for home in homes.values():
        write_empty_tables(home)
        write(home, "listening_events", "2026-06-01", "a", world())
        tracks = [{"track_id": "1", "title": "One", "artist_ids": ["x"], "duration_ms": 200_000, "styles": ["pop"]}]
        write(home, "tracks", "2026-06-01", "a", tracks)
        write(home, "artists", "2026-06-01", "a", [{"artist_id": "x", "name": "Ｅｘ"}])
    variables = spark.environment(homes["spark"]) | {"SEGUE_SPARK_SERVER": server}
    built(homes["spark"], variables=variables)
    for home in homes.values():
        late = event("late", "u", "play", "2", 61, played_ms=50_000, sequence_number=9)
        write(home, "listening_events", "2026-06-01", "late", [late])
        next_day = event("next", "v", "play", "1", 60 * 25, played_ms=90_000)
        write(home, "listening_events", "2026-06-02", "b", [next_day])
    shutil.rmtree(homes["spark"] / "spark" / "marts")
    built(homes["spark"], variables=variables)
    built(homes["duckdb"])
    assert not (homes["spark"] / "spark" / "warehouse").exists(), "the tables belong to the server"
    names = publish(homes["spark"] / "spark" / "marts", homes["spark"] / "marts")
    assert names == sorted(path.stem for path in (homes["duckdb"] / "marts").glob("*.parquet"))
    for name in names:
        assert_equal_tables(*(homes[engine] / "marts" / f"{name}.parquet" for engine in ("spark", "duckdb")))
    assert {"late", "next"} < set(pq.read_table(homes["spark"] / "marts" / "events.parquet")["event_id"].to_pylist())
