"""Exposure log: one record per response, landed as impressions and exposures."""

from dataclasses import replace

import numpy as np
import polars as pl

from ingestion.land import land
from serving.events.exposure_log import Exposure, ExposureLog, hash_features
from serving.pipeline.request import read_request
from serving.pipeline.response import TrackItem
from tests.support.log_sources import landed
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import ListChannel, history, release, tracks

# The clock of landing is real, and live events may not lie in its future.
AT = 1_780_000_000_000_000
POPULARITY = ListChannel("popularity", range(2, 10))


def item(track_id, channels=("popularity",), **chance):
    return TrackItem(track_id=track_id, title="", artists=[], score=0.5, channels=list(channels), reason=None, **chance)


def exposure(request_id, *items, **request):
    shown_request = replace(read_request("u", "daily", None, AT, request_id=request_id), **request)
    return Exposure(shown_request, "r1", "f" * 32, items)


def write(folder, *exposures):
    log = ExposureLog(folder, lambda: AT)
    for one in exposures:
        log.write(one)
    log.close()


def test_items_are_landed_as_impressions_and_exposures(tmp_path):
    explored = item("t2", ["popularity", "realtime"], propensity=0.25, is_exploration=True)
    write(
        tmp_path / "live",
        exposure("q", item("t1", release="r0"), explored, arm="r2"),
        exposure("p"),
        exposure("o", item("t1")),
    )
    for times in (1, 2):
        counts = land(tmp_path / "live", tmp_path)["exposure_log"]
        assert (counts.landed, counts.duplicate, counts.quarantined) == ((6, 0, 0) if times == 1 else (0, 6, 0))
    shown = landed(tmp_path, "exposures").sort("request_id", "position")
    assert shown["event_id"].to_list() == ["o-0", "q-0", "q-1"]
    assert shown["release"].to_list() == ["r1", "r0", "r1"]
    assert shown.row(2, named=True) | {"shown_at": None} == {
        "event_id": "q-1", "request_id": "q", "user_id": "u", "scene": "daily", "shown_at": None, "release": "r1",
        "arm": "r2", "features_hash": "f" * 32, "target_type": "track", "target_id": "t2", "position": 1,
        "channels": ["popularity", "realtime"], "propensity": 0.25, "is_exploration": True,
    }  # fmt: skip
    assert (shown["shown_at"].dt.epoch("us") == AT).all()
    events = landed(tmp_path).sort("event_id")
    assert events["event_id"].to_list() == ["o-0", "q-0", "q-1"]
    assert events["action"].to_list() == ["impression"] * 3
    assert events["propensity"].to_list() == [1, 1, 0.25]
    assert (events["ended_at"] == events["occurred_at"]).all() and (events["occurred_at"].dt.epoch("us") == AT).all()
    same = ["event_id", "user_id", "scene", "request_id", "position", "target_type", "target_id"]
    assert events.select(same).equals(shown.select(same).sort("event_id"))


def test_invalid_records_are_quarantined(tmp_path):
    write(tmp_path / "live", exposure("q", item("t1"), item("t2", propensity=2.0)))
    (log,) = (tmp_path / "live").glob("dt=*/exposures-*")
    with log.open("a") as file:
        file.write('torn\n{"request_id": "p", "items": [1]}\n{"request_id": "p", "items": [{"target_id": "t"}]}\n')
    counts = land(tmp_path / "live", tmp_path)["exposure_log"]
    assert (counts.read, counts.landed, counts.duplicate, counts.quarantined) == (8, 2, 0, 6)
    files = sorted((tmp_path / "quarantine" / "exposures").glob("dt=*/*.parquet"))
    rejected = pl.read_parquet(files, hive_partitioning=False).sort("source_line")
    assert dict(rejected.select("source_line", "reason").iter_rows()) == {
        1: "propensity 2.0 is not in (0, 1]",
        2: "the line is not JSON",
        3: "items is not a list of objects",
        4: "event_id is missing",
    }


def test_pipeline_records_release_features_and_channels(tmp_path):
    bench = Bench(tmp_path)
    bench.store.users["u"] = history("t0", "t1")
    answer = bench.answer(release(tracks(8), [POPULARITY]), limit=2)
    (record,) = bench.shown.exposures
    assert (record.request.request_id, record.release) == (answer.request_id, "r1")
    assert [(one.track_id, one.channels, one.propensity, one.is_exploration) for one in record.items] == [
        (one.track_id, ["popularity"], 1.0, False) for one in answer.items
    ]
    users = bench.hydrate.load_user_state(record.request, release(tracks(8), [POPULARITY])).users
    assert record.features_hash == hash_features(users)


def test_feature_hash_ignores_padding(tmp_path):
    bench, of = Bench(tmp_path), release(tracks(8), [POPULARITY])

    def hashed(*track_ids, padding=0):
        bench.store.users["u"] = history(*track_ids)
        users = bench.hydrate.load_user_state(read_request("u", "daily", None, NOW), of).users
        padded = {
            name: replace(view, columns={key: np.pad(one, ((0, 0), (0, padding))) for key, one in view.columns.items()})
            for name, view in users.views.items()
        }
        return hash_features(replace(users, views=padded))

    assert hashed("t0", "t1") == hashed("t0", "t1") == hashed("t0", "t1", padding=3)
    assert len({hashed(), hashed("t0"), hashed("t1"), hashed("t0", "t1"), hashed("t1", "t0")}) == 5
