"""Remote recall and ranking equal local ones, and accept only valid JSON."""

import io
import json
import logging
import pickle
from dataclasses import replace

import httpx
import numpy as np
import pytest
from _bentoml_impl.server.app import ServiceAppFactory
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from config.settings import SettingError
from serving import distributed
from serving.distributed import NoSuchRelease, ReleaseCache
from serving.http.catch_all import CatchAll
from serving.inspection.user_profile import describe_user
from serving.observability import structured_log
from serving.observability.metrics import Metrics
from serving.pipeline.collection_pipeline import CollectionPipeline
from serving.pipeline.request import read_path, read_request, read_similar
from serving.pipeline.smooth_path_pipeline import PathPipeline
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import Recall, WarmUpFailed
from serving.pipeline.track_pipeline import TrackPipeline
from serving.releases.served_release import REMOTE_MODEL
from serving.releases.warm_up import warm_up
from serving.remote import array_json
from serving.remote.array_json import InvalidPayload
from serving.remote.client import RemoteCallError, RemoteRanking, RemoteRecall
from tests.support.serving.collection_release import opened_release
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import (
    FavourRanker,
    ListChannel,
    MemoryStore,
    clicked,
    excluded,
    history,
    release,
    tracks,
)
from training.release.traffic_split import MAX_CANARY_RELEASES, TRAFFIC_SPLIT_FILE
from training.slate.blend import Blend
from training.slate.scene_settings import SCENES, TRACKS

WHOLE = release(
    tracks(8),
    [
        ListChannel("popularity", range(2, 10)),
        ListChannel("realtime", [9, 8, 7], near={2: [9, 8]}),
        ListChannel("long_short", [], is_failing=True),
    ],
    ranker=FavourRanker(6),
    blend=Blend(0.5),
)


def test_every_service_answers_when_a_middleware_fails():
    services = (distributed.RecallService, distributed.RankingService, distributed.Recommender)
    assert {service.middlewares[0][0] for service in services} == {CatchAll}


class Store(dict):
    """A release cache with these releases."""

    def get(self, release_id):
        if release_id not in self:
            raise NoSuchRelease(f"release {release_id!r} is not in the store, or not whole")
        return self[release_id]


TOKEN = "t" * 40
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def client_of(service):
    """A client without BentoML's metrics, which can be registered once per process."""
    service.inject_config()
    app = ServiceAppFactory(service, is_main=False, enable_metrics=False)()
    return TestClient(app, base_url="http://127.0.0.1", headers=AUTHORIZED)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return opened_release(tmp_path_factory.mktemp("marts"), "opened")


@pytest.fixture(scope="module")
def clients(opened):
    """Both inner services as BentoML serves dependencies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_RECALL_DEADLINE_MS", "30000")
        patch.setenv("SEGUE_INTERNAL_TOKEN", TOKEN)
        patch.setattr(distributed, "_releases", lambda parts: Store(r1=WHOLE, opened=opened))
        patch.setattr(distributed, "Metrics", lambda: Metrics(CollectorRegistry()))
        with client_of(distributed.RecallService) as recall, client_of(distributed.RankingService) as ranking:
            yield recall, ranking


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("SEGUE_INTERNAL_TOKEN", TOKEN)


@pytest.fixture
def remote(clients):
    recall, ranking = (distributed._make_call(client) for client in clients)
    return RemoteRecall(recall, Metrics(CollectorRegistry()), 60), RemoteRanking(ranking)


def sample_requests():
    for user in ("u", "unknown_user"):
        yield read_request(user, "private_fm", 3, NOW, None, "q")
        yield read_request(user, "daily", 8, NOW, 0.5, "q")
    yield read_similar("t0", 3, None, NOW, "q")


def test_remote_responses_equal_local_ones(tmp_path, remote):
    here, there = Bench(tmp_path / "here"), Bench(tmp_path / "there")
    there.path = TrackPipeline(there.hydrate, remote[0], there.lists, there.shown, there.metrics, remote[1])
    for bench in (here, there):
        bench.store.users["u"] = history("t0", "t1")
    for request in sample_requests():
        plain, hopped = here.path.recommend(request, WHOLE), there.path.recommend(request, WHOLE)
        assert len(plain.items) >= 2 and plain.items == hopped.items
        assert (plain.trace.candidates, plain.trace.left_out) == (hopped.trace.candidates, hopped.trace.left_out)
    assert plain.trace.left_out == {} and "t0" not in {item.track_id for item in plain.items}


def loaded_elsewhere(release):
    """The release as a process without models has it."""
    channels = dict.fromkeys(release.channels, REMOTE_MODEL)
    return replace(release, channels=channels, collection_channels={}, continuation_sources=channels)


def test_remote_continuations_and_paths_equal_local_ones(tmp_path, remote, opened):
    answers = []
    for name, recall, served in (
        ("here", Recall(Metrics(CollectorRegistry()), 60, 1), opened),
        ("there", remote[0], loaded_elsewhere(opened)),
    ):
        bench = Bench(tmp_path / name)
        tracks = TrackPipeline(bench.hydrate, recall, bench.lists, bench.shown, bench.metrics)
        paths = PathPipeline(bench.hydrate, recall, bench.shown, bench.metrics)
        for seeds, title in ((["t0"], ""), (["t3", "t6", "t9"], "The p3"), ([], "western")):
            request = read_request(None, "daily", 8, NOW, None, "q", seeds=seeds, title=title)
            answers.append(tracks.recommend(request, served))
        answers.append(paths.recommend(read_path("t0", "t5", 6, None, NOW, "q"), served))
        assert answers[-1].items[0].track_id == "t0" and len(answers[-1].items) == 6
    half = len(answers) // 2
    for local, hopped in zip(answers[:half], answers[half:], strict=True):
        assert local.items and local.items == hopped.items
        assert (local.trace.candidates, local.trace.removed) == (hopped.trace.candidates, hopped.trace.removed)
        assert local.trace.left_out == hopped.trace.left_out == {}
    assert {"realtime", "multi_interest", "playlist_neighbors", "title_words"} <= set(answers[1].trace.candidates)


@pytest.mark.parametrize(
    "wrong", [{"points": 51}, {"points": -1}, {"k": 0}, {"first": "x"}, {"name": "unknown"}, {"release": "unknown"}]
)
def test_invalid_request_for_items_between_is_rejected(clients, wrong):
    content = {"release": "opened", "name": "realtime", "first": 2, "last": 3, "points": 2, "k": 5}
    assert clients[0].post("/recall_between", json={"content": content}).status_code == 200
    answer = clients[0].post("/recall_between", json={"content": content | wrong})
    assert answer.status_code in (400, 404), answer.text


@pytest.mark.parametrize("scene", list(SCENES))
def test_remote_responses_equal_local_ones_in_every_scene(tmp_path, remote, opened, scene):
    answers = []
    for name, recall, served in (
        ("here", Recall(Metrics(CollectorRegistry()), 60, 1), opened),
        ("there", remote[0], loaded_elsewhere(opened)),
    ):
        bench = Bench(tmp_path / name)
        tracks = TrackPipeline(bench.hydrate, recall, bench.lists, bench.shown, bench.metrics)
        path = (
            tracks
            if SCENES[scene].item_type == TRACKS
            else CollectionPipeline(bench.hydrate, recall, bench.shown, bench.metrics)
        )
        bench.store.users["u"] = history("t0", "t1") | clicked(("playlist", "p3")) | excluded(("mlog", "m0"))
        for user in ("u", "unknown_user"):
            answer = path.recommend(read_request(user, scene, 4, NOW, None, "q"), served)
            answers.append((name, answer.items, answer.trace.candidates, answer.trace.removed, answer.trace.left_out))
    half = len(answers) // 2
    assert [one[1:] for one in answers[:half]] == [one[1:] for one in answers[half:]]
    assert all(items and not left_out for _, items, _, _, left_out in answers)


def test_remote_profile_equals_the_local_one(remote, opened):
    profiles = []
    for recall, served in (
        (Recall(Metrics(CollectorRegistry()), 60, 1), opened),
        (remote[0], loaded_elsewhere(opened)),
    ):
        store = MemoryStore()
        store.users["u"] = history("t0", "t1", "t2", "t0")
        hydrate = Hydrator(store, Metrics(CollectorRegistry()))
        profiles += [
            describe_user(hydrate.load_user_state(read_request(user, "daily", 3, NOW), served), served, recall)
            for user in "ux"
        ]
    assert profiles[:2] == profiles[2:]
    assert sum(one.share for one in profiles[0].interests) == pytest.approx(1, abs=0.01)
    assert profiles[0].long_term.name == opened.channels["multi_interest"].interest_names.name(
        opened.vocabulary.encode(["t0", "t1", "t2", "t0"])
    )


def test_profile_without_interest_names(opened):
    store = MemoryStore()
    store.users["u"] = history("t0")
    hydrate = Hydrator(store, Metrics(CollectorRegistry()))
    served = loaded_elsewhere(opened)
    profiles = describe_user(
        hydrate.load_user_state(read_request("u", "daily", 3, NOW), served),
        served,
        RemoteRecall(silent, Metrics(CollectorRegistry()), 60),
    )
    artists = profiles.long_term.artists
    assert (profiles.interests, profiles.long_term.titles, profiles.long_term.name) == (
        [],
        ["Song t0"],
        " · ".join(artists),
    )


def test_remote_warm_up_names_the_failing_part(remote):
    with pytest.raises(RemoteCallError, match="release r1 fails in long_short: long_short is out of order"):
        warm_up(WHOLE, NOW, *remote)
    with pytest.raises(WarmUpFailed, match="fails in long_short"):
        warm_up(WHOLE, NOW, Recall(Metrics(CollectorRegistry()), 60, 1), Ranking())


def silent(name, content, timeout_s):
    raise RemoteCallError("no answer", is_timeout=timeout_s is not None and timeout_s < 1)


@pytest.mark.parametrize(("hop_s", "why"), [(1.0, "failed"), (0.1, "late")])
def test_failing_service_degrades_the_response(tmp_path, monkeypatch, hop_s, why):
    monkeypatch.setattr("serving.remote.client.RECALL_GRACE_S", hop_s)
    bench = Bench(tmp_path)
    lost = RemoteRecall(silent, bench.metrics, 0.4), RemoteRanking(silent)
    bench.path = TrackPipeline(bench.hydrate, lost[0], bench.lists, bench.shown, bench.metrics, lost[1])
    bench.store.users["u"] = history("t0")
    answer = bench.answer(WHOLE, limit=3, scene="private_fm")
    assert answer.trace.left_out == dict.fromkeys(WHOLE.channels, why)
    for channel in WHOLE.channels:
        assert bench.count("segue_skipped", part=channel) == (why == "failed")
        assert bench.count("segue_cut_off", channel=channel, why="late") == (why == "late")
    assert [item.track_id for item in answer.items] == ["t0", "t2", "t4"]


def test_service_logs_have_the_request_id(remote):
    logger, stream = logging.getLogger(structured_log.PACKAGE), io.StringIO()
    before = logger.handlers, logger.propagate, logger.level
    structured_log.configure_logging(stream)
    token = structured_log.REQUEST_ID.set("q7")
    try:
        assert remote[0].recall_for_users(WHOLE, users(), 3).left_out == {"long_short": "failed"}
    finally:
        structured_log.REQUEST_ID.reset(token)
        logger.handlers, logger.propagate, logger.level = before
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert line["request_id"] == "q7" and line["message"].startswith("channel long_short failed")


def test_hanging_service_times_out():
    timeouts = []

    def hangs(request):
        timeouts.append(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("nothing came", request=request)

    client = httpx.Client(transport=httpx.MockTransport(hangs), base_url="http://127.0.0.1", timeout=30)
    registry = CollectorRegistry()
    recall = RemoteRecall(distributed._make_call(client), Metrics(registry), 0.4)
    recalled = recall.recall_for_users(WHOLE, users(), 3)
    assert recalled.left_out == dict.fromkeys(WHOLE.channels, "late") and recalled.candidates == {}
    with pytest.raises(RemoteCallError):
        RemoteRanking(distributed._make_call(client)).score(WHOLE, users(), np.array([2]))
    assert timeouts == [1.4, 5]


class Runs:
    """Runs code when unpickled."""

    def __reduce__(self):
        return print, ("this must not run",)


def test_services_neither_unpickle_nor_read_oversized_bodies(clients, capsys):
    for client, path in zip(clients, ("/recall_for_users", "/score"), strict=True):
        for kind in ("application/vnd.bentoml+pickle", "multipart/form-data", "text/plain"):
            answer = client.post(path, content=pickle.dumps(Runs()), headers={"content-type": kind})
            assert answer.status_code == 415
            both = [("content-type", kind), ("content-type", "application/json")]
            for headers in (both, both[::-1]):
                assert client.post(path, content=pickle.dumps(Runs()), headers=headers).status_code == 400
        large = client.post(
            path, content=b" " * (distributed.MAX_BODY_BYTES + 1), headers={"content-type": "application/json"}
        )
        assert large.status_code == 413
    assert "must not run" not in capsys.readouterr().out


def test_services_accept_their_token_only(clients):
    for client, path in zip(clients, ("/recall_for_users", "/score"), strict=True):
        for given in ("", "Bearer", f"Bearer {TOKEN[1:]}", f"Basic {TOKEN}"):
            assert client.post(path, json={}, headers={"Authorization": given}).status_code == 401
        assert client.post(path, json={}).status_code == 400


def test_services_do_not_start_without_a_token(monkeypatch):
    monkeypatch.delenv("SEGUE_INTERNAL_TOKEN")
    with pytest.raises(SettingError, match="SEGUE_INTERNAL_TOKEN"), client_of(distributed.RankingService):
        raise AssertionError("the service started")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"release": "r9"}, 404),
        ({"release": "../r1"}, 404),
        ({"k": 0}, 400),
        ({"k": 10**9}, 400),
        ({"users": {}}, 400),
        ({"users": None}, 400),
    ],
)
def test_invalid_calls_are_rejected(clients, change, status):
    content = {"release": "r1", "k": 3, "only": ["popularity"], "users": array_json.encode_users(users())}
    assert clients[0].post("/recall_for_users", json={"content": content}).status_code == 200
    answer = clients[0].post("/recall_for_users", json={"content": content | change})
    assert answer.status_code == status and answer.json()["error"]


def users():
    store = MemoryStore()
    store.users["u"] = history("t0", "t1")
    return (
        Hydrator(store, Metrics(CollectorRegistry())).load_user_state(read_request("u", "daily", 3, NOW), WHOLE).users
    )


def test_users_round_trip():
    before = replace(users(), left_out_begin_B=np.array([7]))
    after = array_json.decode_users(json.loads(json.dumps(array_json.encode_users(before))))
    assert (after.user_ids, after.scene_B) == (before.user_ids, before.scene_B)
    assert np.array_equal(after.request_at_B, before.request_at_B) and set(after.views) == set(before.views)
    assert {name: one.tolist() for name, one in after.profile.items()} == {
        name: one.tolist() for name, one in before.profile.items()
    }
    assert after.left_out_begin_B.tolist() == [7]
    for name, view in before.views.items():
        assert np.array_equal(after.views[name].length_B, view.length_B)
        for column, array in view.columns.items():
            assert after.views[name].columns[column].dtype == array.dtype
            assert np.array_equal(after.views[name].columns[column], array)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "|O", "shape": [1], "bytes": "AAAAAAAAAAA="},
        {"type": "<i8", "shape": [2], "bytes": "AAAAAAAAAAA="},
        {"type": "<i8", "shape": [-1], "bytes": "AAAAAAAAAAA="},
        {"type": "<i8", "shape": [1, 1, 1, 1], "bytes": "AAAAAAAAAAA="},
        {"type": "<i8", "shape": [True], "bytes": "AAAAAAAAAAA="},
        {"type": "<i8", "shape": [1], "bytes": "not base64"},
        {"type": "<i8", "shape": [1]},
        {"type": ["<i8"], "shape": [1], "bytes": "AAAAAAAAAAA="},
        [1],
        None,
    ],
)
def test_invalid_arrays_are_rejected(content):
    with pytest.raises(InvalidPayload):
        array_json.decode_array(content)
    assert array_json.decode_array({"type": "<i8", "shape": [1], "bytes": "AQAAAAAAAAA="}).tolist() == [1]


def test_distributed_recommender_has_the_same_api_and_middleware():
    assert set(distributed.Recommender.apis) == set(distributed.service.Recommender.apis)
    assert [kind for kind, _ in distributed.Recommender.middlewares] == [
        kind for kind, _ in distributed.service.Recommender.middlewares
    ]


def test_damaged_shares_do_not_keep_releases_from_being_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed.model_store, "is_valid_version", lambda _: True)
    monkeypatch.setattr(distributed.model_store, "version_folder", tmp_path.joinpath)
    loaded = []

    def load(folder):
        loaded.append(folder.name)
        return replace(WHOLE, release_id=folder.name)

    cache = ReleaseCache(load, tmp_path)
    (tmp_path / TRAFFIC_SPLIT_FILE).write_text('{"experiment": "x", "beside": [{"rel')
    names = [f"r{number}" for number in range(3 + MAX_CANARY_RELEASES)]
    assert [cache.get(name).release_id for name in [*names, *names[1:]]] == [*names, *names[1:]]
    assert loaded == names
    cache.get(names[0])
    assert loaded == [*names, names[0]]
