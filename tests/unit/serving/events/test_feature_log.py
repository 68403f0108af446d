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
ROWS = ("2026-05-04", 7)


def write(log, at_us, user_id="u"):
    """The id of a request, which is logged if it is sampled."""
    request = read_request(user_id, "daily", 3, at_us)
    if log.is_sampled(request):
        log.write(request, "r1", ("dt=2026-05-04/events-1.jsonl", 120), {}, {}, ROWS)
    return request.request_id


def written(folder):
    return list(feature_log.read_requests(folder, DAY, DAY))


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.25, 130, 270), (1.0, 800, 800)])
def test_sampling_is_deterministic_by_request_id(tmp_path, share, low, high):
    log = FeatureLog(tmp_path, share, lambda: NOON)
    requests = [read_request("u", "daily", 3, NOON) for _ in range(800)]
    sample = [log.is_sampled(request) for request in requests]
    assert low <= sum(sample) <= high
    assert sample == [log.is_sampled(request) for request in requests]


def test_requests_are_not_sampled_while_the_log_of_the_hour_is_full(tmp_path):
    now = [NOON]
    log = FeatureLog(tmp_path, 1.0, lambda: now[0], max_bytes_per_hour=1)
    first, _ = write(log, NOON), write(log, NOON)
    now[0] += 3_600_000_000
    third = write(log, now[0])
    assert [logged.request_id for logged in written(tmp_path)] == [first, third]


def test_nothing_of_erased_users_is_logged(tmp_path):
    log = FeatureLog(tmp_path, 1.0, lambda: NOON)
    before, others = write(log, NOON), write(log, NOON, "other")
    log.erase_users({"u"})
    write(log, NOON)
    assert [logged.request_id for logged in written(tmp_path)] == [before, others]


def test_failed_write_does_not_fail_the_request(tmp_path, caplog):
    (tmp_path / "requests").write_text("a file where the folder should be")
    write(FeatureLog(tmp_path / "requests", 1.0, lambda: NOON), NOON)
    assert "could not be written" in caplog.text


def test_hydrator_logs_model_inputs_and_store_failures(tmp_path):
    store = MemoryStore()
    views = history("t0", "t1")
    views["played_history"]["played_ratio"][1] = float("nan")
    store.users["u"] = views | {"a view that the contract does not name": {"event_id": ["x"]}}
    hydrate = Hydrator(store, Metrics(CollectorRegistry()), FeatureLog(tmp_path, 1.0, lambda: NOON))
    request, of = read_request("u", "daily", 3, NOON), release(tracks(4), [ListChannel("popularity", [2])])
    hydrate.load_user_state(request, of)
    store.is_away = True
    hydrate.load_user_state(read_request("u", "daily", 3, NOON), of)
    known, unknown = written(tmp_path)
    assert (known.request_id, known.user_id, known.at_us, known.release) == (request.request_id, "u", NOON, "r1")
    assert known.views == {"played_history": views["played_history"] | {"played_ratio": [1.0, None]}}
    assert (known.profile, known.rows) == ({"user_profile__plays_total": 5}, ROWS)
    assert (unknown.views, unknown.rows) == ({}, None)
