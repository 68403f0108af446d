"""Exposure counts per arm against counts by hand."""

from datetime import timedelta
from pathlib import Path

import pytest

from experiments.arm_exposures import load_arm_exposures, newest_exposure_at
from releases.format import MissingInput
from tests.unit.experiments.exposure_mart import AT, row, write

PERIOD = (AT, AT + timedelta(days=1))


def test_counts_of_an_arm_are_the_sums_of_its_users(tmp_path: Path) -> None:
    rows = [
        row(0, "b", "x/r1", is_played=True, is_full_play=True, is_liked=True),
        row(0, "b", "x/r1", is_settled=False),
        row(1, "b", "x/r1", is_played=True, is_skip=True),
        row(2, "a", "x/production", release="r0"),
        row(3, "a", "x/production", release="r2", is_liked=True),
        row(4, "c", "x/r1"),
        row(5, "c", "x/production", release="r0"),
        row(6, "d", "xy/r1"),
        row(7, "d"),
        row(-1, "b", "x/r1"),
        row(86_400, "b", "x/r1"),
    ]
    arms, shared_users = load_arm_exposures(write(tmp_path, rows), *PERIOD, "x")
    assert list(arms) == ["x/production", "x/r1"]
    assert shared_users == 1
    production, other = arms.values()
    assert (production.users, production.requests, production.unsettled) == (2, 3, 0)
    assert (other.users, other.requests, other.unsettled) == (2, 3, 1)
    assert (production.releases, other.releases) == (["r0", "r2"], ["r1"])
    # Units are the users a, b and c.
    assert {name: counts.tolist() for name, counts in other.counts_U.items()} == {
        "exposures": [0, 3, 1], "plays": [0, 2, 0], "full_plays": [0, 1, 0], "skips": [0, 1, 0], "likes": [0, 1, 0],
    }  # fmt: skip
    assert production.counts_U["likes"].tolist() == [1, 0, 0]


def test_missing_and_empty_mart(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="dbt build"):
        newest_exposure_at(tmp_path / "marts")
    marts = write(tmp_path, [])
    assert newest_exposure_at(marts) is None
    assert load_arm_exposures(marts, *PERIOD, "x") == ({}, 0)
    assert newest_exposure_at(write(tmp_path, [row(3, "u"), row(2, "u")])) == AT + timedelta(seconds=3)
