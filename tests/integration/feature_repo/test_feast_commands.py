"""The commands of docs/feast.md, run literally on a small home; only ports are replaced by free ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from config import settings
from config.bind_address import is_free
from event_store.opened import now_us
from event_store.sqlite_stores import SqliteEventStore
from local.environment import environment
from tests.support import background, documented_commands
from tests.support.ports import free_port
from tests.support.sequences.event_rows import EPOCH, event_rows, write_events, write_profiles
from tests.support.sequences.reported_events import reported_event
from tests.support.waiting import wait_until

COMMANDS = documented_commands.commands("docs/feast.md")
NOON = 12 * 3600
DAYS_TO_JUNE = (EPOCH.replace(year=2026, month=6, day=29) - EPOCH).days


def command(*words: str) -> str:
    """The documented command with these words."""
    (found,) = (command for command in COMMANDS if all(word in command.split() for word in words))
    return found


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home with two users' plays in June 2026 and their profiles; applied and materialized by the documented commands."""
    home = tmp_path_factory.mktemp("home")
    events = [
        {
            "event_id": f"{user}{n}",
            "user_id": user,
            "second": 86_400 * (DAYS_TO_JUNE + n) + NOON - 60,
            "sequence_number": n,
            "target_id": f"t{n}",
            "played_ratio": ratio,
        }
        for user in ("u1", "u2")
        for n, ratio in enumerate((0.5, None))
    ]
    write_events(home / "marts" / "events.parquet", event_rows(events))
    landed = home / "landing" / "listening_events" / "dt=2026-06-30" / "a.parquet"
    landed.parent.mkdir(parents=True)
    pq.write_table(pa.table({"ended_at": [EPOCH + timedelta(days=DAYS_TO_JUNE + 1, seconds=NOON)]}), landed)
    profile = {"user_id": "u1", "known_at": EPOCH + timedelta(days=DAYS_TO_JUNE + 1), "plays_total": 1}
    write_profiles(home / "marts" / "user_profiles.parquet", [profile])
    of_home = environment(settings.Settings(home=home))
    assert not (home / "feast").exists()  # the first command creates it
    for words in (command("apply"), command("materialize-incremental")):
        documented_commands.run_command(words, of_home, "0")
    return of_home


@contextmanager
def serving(words: str, variables: dict[str, str]) -> Iterator[int]:
    """Run a documented server on a free port, which is passed as soon as it accepts connections."""
    documented, port = words.split("--port ")[1].split(maxsplit=1)[0], free_port()
    script = f"exec {words.replace(f'--port {documented}', f'--port {port}')}"
    variables = {**variables, "PATH": f"{documented_commands.BINARIES}:{variables['PATH']}"}
    log = Path(variables["SEGUE_HOME"]) / f"{port}.log"
    server = background.start(["bash", "-euc", script], variables, settings.ROOT, log)
    try:
        wait_until(lambda: not server.is_running() or not is_free("127.0.0.1", port), "the server", 120)
        assert server.is_running(), log.read_text()
        yield port
    finally:
        server.stop(timeout_s=1)


def strict_json(text: str) -> Any:
    """The content of JSON; NaN and Infinity, which are not JSON, fail the test."""
    return json.loads(text, parse_constant=pytest.fail)


def test_historical_features(variables: dict[str, str]) -> None:
    output = documented_commands.run_command(command("get-historical-features"), variables, "0")
    (row,) = strict_json(output[output.index("[") :])
    assert (row["user_id"], row["track_id"], row["plays_total"]) == ("u1", ["t0", "t1"], 1)


def test_online_features(variables: dict[str, str]) -> None:
    output = documented_commands.run_command(command("get-online-features"), variables, "0")
    assert strict_json(output[output.index("{") :]) == {"user_id": ["u1"], "track_id": [["t0", "t1"]]}


def test_example_script(variables: dict[str, str]) -> None:
    output = documented_commands.run_command(command("docs/feast_example.py"), variables, "0")
    assert "2 rows" in output and "saved dataset: 2 rows" in output
    assert "2 active users" in output and "online: 2 tracks of u1" in output


def test_feature_server(variables: dict[str, str]) -> None:
    (request,) = (words for words in COMMANDS if words.startswith("curl"))
    service = {"feature_service": "sum_pooling", "entities": {"user_id": ["u1"]}}

    def values_of(answer: dict[str, Any]) -> dict[str, Any]:
        names, results = answer["metadata"]["feature_names"], answer["results"]
        return {name: result["values"] for name, result in zip(names, results, strict=True)}

    with serving(command("serve"), variables) as port:
        output = documented_commands.run_command(request.replace("6566", str(port)), variables, "0")
        url = f"http://127.0.0.1:{port}/get-online-features"
        short = httpx.post(url, json=service, timeout=60)
        SqliteEventStore(Path(variables["SEGUE_HOME"]) / "serving", now_us).append(
            [reported_event("live", "u1", 86_400 * (DAYS_TO_JUNE + 9), played_ms=1_000)]
        )
        live = httpx.post(url, json={**service, "full_feature_names": True}, timeout=60)
    values, later = values_of(strict_json(output)), values_of(strict_json(live.text))
    assert (values["track_id"], values["played_ratio"]) == ([["t0", "t1"]], [[0.5, None]])
    assert later["recent_events__event_id"] == [["u10", "u11", "live"]]
    assert later["recent_negatives__event_id"] == [["live"]]
    assert short.is_error and "full_feature_names=True" in short.text


def test_user_interface(variables: dict[str, str]) -> None:
    with serving(command("ui"), variables) as port:
        assert "<html" in httpx.get(f"http://127.0.0.1:{port}/", timeout=60).text
        services = httpx.get(f"http://127.0.0.1:{port}/api/v1/feature_services?project=segue", timeout=60)
    assert "recommender" in services.text


def test_registry_server(variables: dict[str, str]) -> None:
    with serving(command("serve_registry"), variables) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
