"""Batch lists and embeddings: equal to the service's answers, resumable, and with vectors that give the scores of the channels."""

import json
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from prometheus_client import CollectorRegistry

from config import settings
from event_store.private_sessions import PrivateSession
from event_store.sqlite_stores import SqliteServingState
from sequences.online import online_stores
from serving import runtime as runtime_module
from serving.batch import BatchError
from serving.batch import export as batch
from serving.batch.export import DESCRIPTION_FILE
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.runtime import Runtime
from storage.suppression_list import SuppressionList
from tests.support.serving.asgi_client import Store, put_in_service, use_home
from tests.support.serving.collection_release import opened_release
from tests.support.serving.pipeline_harness import NOW
from tests.support.serving.small_release import history

USERS = [f"u{n}" for n in range(7)]


class Home:
    """A home with a release, and an online store in memory."""

    def __init__(self, folder, of):
        self.folder, self.release, self.opened = folder, of, ExitStack()
        self.settings = settings.load_settings()
        track_ids = of.vocabulary.track_ids_V[2:].tolist()
        self.histories = {user: history(*track_ids[n : n + 2 + n]) for n, user in enumerate(USERS[:-1])}
        self.users = list(USERS)  # with materialized rows
        self.before = mock.Mock()  # called with the user before each list

    def open(self, is_service=False):
        self.opened.close()
        here = self.settings.model_copy(update={"recall_deadline_ms": 30_000})
        metrics = Metrics(CollectorRegistry())
        opened = Runtime(here, metrics) if is_service else batch.open_runtime(here, metrics)
        opened._online.users.update(self.histories)
        return self.opened.enter_context(closing(opened))

    def answer(self, answer, runtime, request, *others):
        self.before(request.user_id)
        return answer(runtime, request, *others)

    def run(self, out, scene="daily", now_us=NOW):
        batch.run(self.open(), self.settings, scene, out, now_us, lambda line: None)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    return opened_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def home(tmp_path, monkeypatch, fitted):
    use_home(monkeypatch, tmp_path / "home")
    home = Home(tmp_path / "home", fitted)
    put_in_service(monkeypatch, home.folder, lambda folder: home.release)
    monkeypatch.setattr(runtime_module, "OnlineStore", Store)
    monkeypatch.setattr(batch, "USERS_PER_PART", 3)
    monkeypatch.setattr(batch, "_answer", partial(home.answer, batch._answer))
    monkeypatch.setattr(
        online_stores,
        "materialized_users",
        lambda limit, after="": [user for user in home.users if user > after][:limit],
    )
    with home.opened:
        yield home


def read(out, kind):
    return [row for file in sorted((out / kind).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("scene", ["daily", "private_fm", "playlists"])
def test_lists_equal_the_answers_of_the_service(home, tmp_path, monkeypatch, scene):
    home.run(tmp_path / "out", scene)
    rows = read(tmp_path / "out", "lists")
    state = SqliteServingState(home.folder / "serving", lambda: NOW)
    assert state.read(None, 1) == [] and state.users() == set(), "nothing is recorded as shown"
    assert not list(home.folder.glob("requests/**/*"))
    service = home.open(is_service=True)
    monkeypatch.setattr(runtime_module, "now_us", lambda: NOW)
    for user in USERS:
        mine = [row for row in rows if row["user_id"] == user]
        monkeypatch.setattr(runtime_module, "new_request_id", lambda shown=mine[0]["request_id"]: shown)
        answer = service.respond(scene, partial(read_request, user, scene, None))
        expected = [(*item.target, item.score, item.channels, item.propensity) for item in answer.items]
        columns = ("target_type", "target_id", "score", "channels", "propensity")
        assert [tuple(row[column] for column in columns) for row in mine] == expected
        assert [row["position"] for row in mine] == list(range(len(mine))) and {row["release"] for row in mine} == {
            "r1"
        }
    assert all(row["reason"] for row in rows if row["channels"])


@pytest.mark.parametrize(("private", "kept_of"), [(None, {"u0"}), (PrivateSession(NOW, NOW), set())])
def test_a_list_of_the_day_may_be_kept_without_being_shown(home, monkeypatch, private, kept_of):
    runtime = home.open()
    monkeypatch.setattr(runtime, "_private_session", lambda user_id: private)
    runtime.compute(batch._request("u0", home.settings, "daily", NOW), is_kept=True)
    state = SqliteServingState(home.folder / "serving", lambda: NOW)
    assert state.read(None, 1) == [] and state.users() == kept_of


def test_interrupted_run_continues_with_the_same_result(home, tmp_path):
    home.run(tmp_path / "whole")
    home.before = mock.Mock(side_effect=[None] * 4 + [KeyboardInterrupt] * 3)
    with pytest.raises(KeyboardInterrupt):
        home.run(tmp_path / "out")
    assert len(list((tmp_path / "out" / "lists").glob("*.parquet"))) == 1 and not (tmp_path / "out/_SUCCESS").exists()
    (tmp_path / "out" / "lists" / ".part-00001.parquet.writing").write_bytes(b"half a file of a killed process")
    home.before = mock.Mock()
    home.run(tmp_path / "out", now_us=NOW + 60_000_000)
    assert (
        sorted(call.args[0] for call in home.before.call_args_list) == USERS[3:]
        and (tmp_path / "out" / "_SUCCESS").exists()
    )
    for kind in ("lists", "user_embeddings", "item_embeddings"):
        assert read(tmp_path / "out", kind) == read(tmp_path / "whole", kind), kind


def test_another_release_or_scene_begins_anew(home, tmp_path):
    for at_us in (NOW, NOW + 86_400_000_000):  # a finished run is computed again
        home.run(tmp_path / "out", now_us=at_us)
        assert json.loads((tmp_path / "out" / DESCRIPTION_FILE).read_text())["at_us"] == at_us
    home.release = replace(home.release, release_id="r2")
    (home.folder / "bentoml" / "active.json").write_text(json.dumps({"release": "r2", "path": "made by hand"}))
    home.run(tmp_path / "out")
    assert {row["release"] for row in read(tmp_path / "out", "lists")} == {"r2"}
    home.run(tmp_path / "out", "private_fm")
    assert len(list((tmp_path / "out" / "lists").glob("*.parquet"))) == 3
    assert {row["release"] for row in read(tmp_path / "out", "item_embeddings")} == {"r2"}


def test_folder_with_other_files_is_rejected(home):
    before = sorted(home.folder.rglob("*"))
    with pytest.raises(BatchError, match="new or empty folder"):
        home.run(home.folder)
    assert set(before) <= set(home.folder.rglob("*")) and not (home.folder / DESCRIPTION_FILE).exists()


def test_failing_store_ends_the_run(home, tmp_path, monkeypatch):
    monkeypatch.setattr(Store, "read", lambda self, user_id: (_ for _ in ()).throw(ConnectionError("away")))
    with pytest.raises(BatchError, match="finished parts are kept"):
        home.run(tmp_path / "out")
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_users_who_are_missing_later_on_end_the_run(home, tmp_path):
    home.before = lambda user_id: home.users.clear()
    with pytest.raises(BatchError, match=r"^7 of 7 users have no features anymore: .* same command again"):
        home.run(tmp_path / "out")
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_users_who_were_erased_have_no_rows_also_if_that_was_during_the_run(home, tmp_path):
    def erase(user_id):
        if user_id == "u0":
            SuppressionList().with_users(["u2", "u6"]).write(home.settings.suppression_list)
            home.users.remove("u6")

    SuppressionList().with_users(["u2"]).write(home.settings.suppression_list)
    home.before = erase
    home.run(tmp_path / "out")
    assert {row["user_id"] for row in read(tmp_path / "out", "lists")} == set(USERS) - {"u2", "u6"}
    assert "u2" not in {row["user_id"] for row in read(tmp_path / "out", "user_embeddings")}


def test_vectors_give_the_scores_of_the_channel(home, tmp_path):
    home.run(tmp_path / "out")
    users, items = read(tmp_path / "out", "user_embeddings"), read(tmp_path / "out", "item_embeddings")
    assert {row["channel"] for row in items} == {"realtime", "multi_interest"}
    # The store of this test has what `multi_interest` reads, but not the events that `realtime` reads.
    assert {row["channel"] for row in users} == {"multi_interest"} and {row["user_id"] for row in users} == set(
        USERS[:-1]
    )
    channel = home.release.channels["multi_interest"]
    tracks = {row["track_id"]: row["vector"] for row in items if row["channel"] == "multi_interest"}
    assert set(tracks) == set(home.release.vocabulary.decode(channel.catalog))
    user, _ = home.open().load_user(batch._request("u3", home.settings, "daily", NOW))
    _, queries = channel.encode_queries(user)
    for task, query_BQD in queries.items():
        rows = [row for row in users if (row["user_id"], row["task"]) == ("u3", task)]
        assert [row["query"] for row in rows] == list(range(query_BQD.shape[1]))
        excluded = np.zeros((len(rows), 1), dtype=np.int64)
        for row, found, expected in zip(rows, *channel.index.search(query_BQD[0][:, None], 5, excluded), strict=True):
            assert (row["release"], row["model_version"]) == ("r1", "")  # a release made by hand has no manifest
            scores = [float(np.dot(row["vector"], tracks[track])) for track in home.release.vocabulary.decode(found)]
            assert scores == pytest.approx(list(map(float, expected)), abs=1e-4)
