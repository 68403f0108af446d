"""Feature log: sampling, limits, and independence of requests."""

from datetime import UTC, date, datetime

import pytest
from prometheus_client import CollectorRegistry

from sequences.skew import feature_log
from serving.events.feature_log import FeatureLog
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from tests.support.serving.small_release import ListChannel, MemoryStore, history, release, tracks

DAY = date(2026, 5, 4)
NOON = int(datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()) * 1_000_000
HOUR = 3_600_000_000
MARK = ("dt=2026-05-04/events-1.jsonl", 120)
ROWS = ("2026-05-04", 7)


class Bench:
    """A feature log with a manual clock."""

    def __init__(self, folder, share=1.0, **limits):
        self.folder, self.now = folder, NOON
        self.log = FeatureLog(folder, share, lambda: self.now, **limits)

    def write(self, views=None, profile=None):
        request = read_request("u", "daily", 3, self.now)
        if self.log.is_sampled(request):
            self.log.write(request, "r1", MARK, views or {}, profile or {}, ROWS)
        return request

    def written(self, first=DAY, last=DAY):
        return list(feature_log.read_requests(self.folder, first, last))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "requests")


def test_logged_request_round_trip(bench):
    views = {"recent_events": {"event_id": ["a", "b"], "played_ratio": [0.5, float("nan")]}}
    request = bench.write(views, {"user_profile__plays_total": None})
    (logged,) = bench.written()
    assert (logged.request_id, logged.user_id, logged.at_us, logged.release) == (request.request_id, "u", NOON, "r1")
    assert logged.views == {"recent_events": {"event_id": ["a", "b"], "played_ratio": [0.5, None]}}
    assert (logged.profile, logged.applied, logged.rows) == ({"user_profile__plays_total": None}, MARK, ROWS)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.25, 130, 270), (1.0, 800, 800)])
def test_sampling_is_deterministic_by_request_id(tmp_path, share, low, high):
    log = Bench(tmp_path, share).log
    requests = [read_request("u", "daily", 3, NOON) for _ in range(800)]
    sample = [log.is_sampled(request) for request in requests]
    assert low <= sum(sample) <= high
    assert sample == [log.is_sampled(request) for request in requests]


def test_requests_are_not_sampled_while_the_log_of_the_hour_is_full(tmp_path):
    bench = Bench(tmp_path, max_bytes_per_hour=1)
    first = bench.write()
    bench.write()
    bench.now += HOUR
    third = bench.write()
    assert [logged.request_id for logged in bench.written()] == [first.request_id, third.request_id]


def test_nothing_of_erased_users_is_logged(bench):
    bench.write()
    bench.log.erase_users({"u"})
    bench.write()
    assert len(bench.written()) == 1


def test_failed_write_does_not_fail_the_request(tmp_path, caplog):
    (tmp_path / "requests").write_text("a file where the folder should be")
    bench = Bench(tmp_path / "requests")
    bench.write()
    assert "could not be written" in caplog.text


def test_hydrator_logs_model_inputs_and_store_failures(bench):
    store = MemoryStore()
    store.users["u"] = history("t0", "t1") | {"a view that the contract does not name": {"event_id": ["x"]}}
    hydrate = Hydrator(store, Metrics(CollectorRegistry()), bench.log)
    of = release(tracks(4), [ListChannel("popularity", [2])])
    hydrate.load_user_state(read_request("u", "daily", 3, NOON), of)
    store.is_away = True
    hydrate.load_user_state(read_request("u", "daily", 3, NOON), of)
    known, unknown = bench.written()
    assert known.views == {"played_history": history("t0", "t1")["played_history"]}
    assert (known.profile, known.rows) == ({"user_profile__plays_total": 5}, ROWS)
    assert (unknown.views, unknown.rows) == ({}, None)
