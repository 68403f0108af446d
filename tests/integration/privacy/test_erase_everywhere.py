"""Erasure of a user while the real recommender runs: no trace is left, and data of others is unchanged."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import redis

from ingestion.land import land
from releases import integrity, model_store
from tests.integration.privacy import erasure_home
from tests.support import valkey
from tests.support.landing_zone import built
from tests.support.pipeline_commands import run_to_end
from tests.support.recommender_service import Place, ask, prepared, started
from tests.support.waiting import wait_until
from training.data.training_data import TrainingData
from training.recipes import recipe

EVENT = {"target_type": "track", "target_id": "t1", "action": "like"}


@pytest.fixture(scope="module")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("built") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_HOME", str(home))
        erasure_home.land_simulated_log(home)
    return home


@dataclass
class Home:
    """A home with a running recommender, and the user to erase."""

    place: Place
    server: valkey.ValkeyServer
    user: str
    others: list[str]

    @property
    def path(self) -> Path:
        return self.place.home

    def ask(self, path: str, **body: Any) -> tuple[int, Any]:
        return ask(self.place.port, path, body)

    def listen(self, user: str, number: int) -> dict[str, Any]:
        """Request a daily list and report three likes."""
        status, daily_list = self.ask("/recommend", user_id=user, scene="daily")
        assert status == 200, daily_list
        status, response = self.ask(
            "/events", events=[EVENT | {"event_id": f"{number}-{place}-{user}", "user_id": user} for place in range(3)]
        )
        assert status == (422 if response["accepted"] == 0 else 200), response
        return response

    def run(self, *module: str) -> str:
        """Output of a command of the home, which must succeed."""
        return run_to_end([sys.executable, "-m", *module], self.place.variables)

    def in_redis(self, user: str) -> bool:
        client = redis.Redis(host=self.server.host, port=self.server.port)
        return any(user.encode() in key for key in client.keys("*"))


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def home(request: pytest.FixtureRequest, built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp(request.param) / "home"
    shutil.copytree(built_home, folder)

    def prepare(home: Path) -> Any:
        erasure_home.add_models(home)
        return erasure_home.AS_OF

    users = erasure_home.active_users(folder)
    with valkey.running(**valkey.DURABLE) as server:
        events = server.connection_url if request.param == "redis" else ""
        with (
            prepared(folder, request.param, server.port, prepare, SEGUE_EVENT_STORE=events) as place,
            started(place, "/readyz"),
        ):
            home = Home(place, server, users[1], [users[0], users[2]])
            for number, user in enumerate([home.others[0], home.user, home.others[1], home.user]):
                assert home.listen(user, number)["accepted"] == 3
            yield home


STORES = {"serving/events.db", "serving/serving.db"}
LEFT = {
    "bentoml/models/segue/made/channels/knowledge_graph/heard.parquet",
    "bentoml/models/segue/made/slate.parquet",
    "training/2026-07-01-debug/evaluation/recall_fused.parquet",
    "warehouse.duckdb",
    *(f"marts/{name}.parquet" for name in ("events", "plays", "impressions", "sessions", "user_profiles", "likes")),
}


@pytest.mark.timeout(900)
def test_user_is_erased_everywhere_and_others_are_unchanged(home: Home) -> None:
    kind = home.place.variables["SEGUE_ONLINE_STORE"]
    before, others = (
        erasure_home.files_with_user(home.path, home.user),
        erasure_home.rows_of_others(home.path, home.user),
    )
    assert {place.removesuffix("-wal") for place in before} >= LEFT | (STORES if kind == "sqlite" else set())
    tops = {place.split("/")[0] for place in before}
    assert tops - {"serving", "feast"} == {"bentoml", "training", "marts", "landing", "quarantine", "requests", "simulated",
                                           "warehouse.duckdb"}  # fmt: skip
    assert home.in_redis(home.user) == (kind == "redis")

    exported = set(home.ask("/export", user_id=home.user)[1]["stores"])
    assert {name.split("/")[0] for name in exported} == {
        *("events", "exposures", "feature_log", "daily_lists", "online_store"),
        *("landing", "quarantine", "marts", "training", "bentoml", "simulated"),
    }

    assert f"{home.user}: erased" in home.run("privacy.erase", home.user)
    assert erasure_home.files_with_user(home.path, home.user) == []
    assert not home.in_redis(home.user) and (kind == "sqlite" or home.in_redis(home.others[0]))
    now = erasure_home.rows_of_others(home.path, home.user)
    assert {name for name in others.keys() | now.keys() if others.get(name) != now.get(name)} == set()
    release = home.path / "bentoml" / "models" / model_store.MODEL_NAME / "made"
    assert (release / integrity.CHECKSUM_FILE).read_text() == integrity.checksum_listing(release)

    # The recommender keeps running, treats the user as unknown and rejects their events.
    response = home.listen(home.user, 9)
    assert response["accepted"] == 0 and "was erased" in response["rejected"][0]["reason"]
    assert home.listen(home.others[0], 9)["accepted"] == 3
    assert home.ask("/listener", user_id=home.user)[1]["events"] == []
    assert home.ask("/listener", user_id=home.others[0])[1]["is_known"]
    assert erasure_home.files_with_user(home.path, home.user) == []

    assert "already erased, no data found" in home.run("privacy.erase", home.user)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("home", ["redis"], indirect=True)  # the kind of store makes no difference here
def test_erased_users_stay_erased_when_their_log_is_landed_again(home: Home, built_home: Path) -> None:
    home.run("privacy.erase", home.user)
    others = len(erasure_home.active_users(home.path))
    counts = land(built_home / erasure_home.LOG, home.path)["own_events"]
    assert counts.landed == 0 and counts.suppressed > 50
    counts = land(erasure_home.write_invalid_rows(home.path.parent / "broken.jsonl", [home.user]), home.path)[
        "own_events"
    ]
    # A torn row has no user, and is quarantined without its text.
    assert (counts.read, counts.quarantined, counts.suppressed) == (2, 1, 1)
    home.run("ingestion.land", "--events")
    built(home.path, as_of=str(erasure_home.AS_OF))
    assert erasure_home.files_with_user(home.path, home.user) == []
    assert len(erasure_home.active_users(home.path)) == others
    home.run("sequences.online.materialize", "--as-of", str(erasure_home.AS_OF))
    assert erasure_home.files_with_user(home.path, home.user) == [] and not home.in_redis(home.user)
    # The next training uses only the other users.
    data = TrainingData(home.path / "marts", "final", recipe("debug"))
    assert home.user not in data.user_ids_U.tolist() and home.others[0] in data.user_ids_U.tolist()


def is_erased(home: Path, user: str) -> bool:
    """Whether no file has the user; False while files are written."""
    try:
        return not erasure_home.files_with_user(home, user)
    except (FileNotFoundError, pl.exceptions.ComputeError):
        return False


@pytest.mark.timeout(900)
@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
def test_a_user_erases_their_data_by_http(home: Home) -> None:
    user = home.others[1]
    assert erasure_home.files_with_user(home.path, user)
    assert home.ask("/erase", user_id=user, confirm=user) == (200, {"user_id": user, "is_erasing": True})
    assert home.listen(user, 11)["accepted"] == 0
    assert home.ask("/export", user_id=user)[1]["stores"] == {}
    # A process of its own erases what is stored.
    wait_until(lambda: is_erased(home.path, user), "the erasure", 300)
    assert home.listen(home.others[0], 12)["accepted"] == 3
