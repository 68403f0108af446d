"""Planned shares of an experiment, read from the file that `training.release` writes."""

from datetime import UTC, datetime
from pathlib import Path

from experiments.arm_exposures import load_latest_plan
from releases import traffic_split
from releases.traffic_split import TrafficSplit


def test_without_a_file_there_is_no_plan(tmp_path: Path) -> None:
    assert load_latest_plan(tmp_path / "shares.json") is None


def test_plan_is_the_last_period_of_constant_shares(tmp_path: Path) -> None:
    file, before = tmp_path / "shares.json", datetime.now(UTC).replace(tzinfo=None)
    first = TrafficSplit().with_share("r1", tmp_path, 0.1, "x")
    for one in (first, first.with_share("r1", tmp_path, 0.2).with_share("r2", tmp_path, 0.3)):
        traffic_split.write(file, one)
    running = load_latest_plan(file)
    assert running.shares == {"x/r1": 0.2, "x/r2": 0.3, "x/production": 0.5}
    assert before <= running.since <= datetime.now(UTC).replace(tzinfo=None) and running.until is None

    traffic_split.write(file, TrafficSplit())
    ended = load_latest_plan(file)
    assert ended is not None and ended.until is not None
    assert (ended.experiment, ended.shares, ended.since) == ("x", running.shares, running.since)

    traffic_split.write(file, TrafficSplit().with_share("r3", tmp_path, 1.0))
    newest = load_latest_plan(file)
    assert newest is not None and newest.shares == {"r3/r3": 1.0}
