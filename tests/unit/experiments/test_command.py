"""Commands of experiments on hand-made marts: reports, exit codes and error messages."""

import json
from datetime import timedelta

import numpy as np
import pytest

from config.settings import Settings
from experiments.__main__ import main
from releases import traffic_split
from releases.traffic_split import TrafficSplit, hash_bucket
from tests.unit.experiments.exposure_mart import AT, row, write


def plan_experiment(here: Settings) -> None:
    """Write a traffic split of one half that started an hour before the exposures."""
    file = here.releases / "shares.json"
    traffic_split.write(file, TrafficSplit().with_share("r2", here.home, 0.5, "louder"))
    since = (AT - timedelta(hours=1)).isoformat() + "+00:00"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"since": since}))


def world(users: int, lost: float = 0.0) -> list[dict[str, object]]:
    """Exposures of users split in halves by hash: 20 each, a quarter played, twice the likes in r2.

    A fraction `lost` of the users of r2 is missing.
    """
    random, rows = np.random.default_rng(3), []
    for user in range(users):
        arm = "louder/r2" if hash_bucket(f"u{user}", "louder") < 0.5 else "louder/production"
        if arm == "louder/r2" and random.random() < lost:
            continue
        for place in range(20):
            likes = random.random() < (0.2 if arm == "louder/r2" else 0.1)
            rows.append(row(user * 20 + place, f"u{user}", arm, is_played=place % 4 == 0, is_liked=bool(likes)))
    return rows


def test_arms_are_compared_and_sample_ratio_checked(here: Settings) -> None:
    plan_experiment(here)
    write(here.home, [*world(400), row(-4_000, "early", "louder/r2"), row(5, "u", "r0")])
    assert main([]) == 0
    content = json.loads((here.reports / "experiment.json").read_text())
    assert (content["experiment"], content["baseline"], content["shared_users"]) == ("louder", "louder/production", 0)
    assert content["sample_ratio"]["holds"] is True and sum(content["sample_ratio"]["users"].values()) == 400
    value, low, high = content["differences"]["louder/r2 - louder/production"]["likes_per_1000"]
    assert low < 100 < high and low > 0 and value == pytest.approx(100, abs=25)
    _, low, high = content["differences"]["louder/r2 - louder/production"]["play_rate"]
    assert low == high == 0  # every user plays a quarter
    assert content["arms"]["louder/r2"]["metrics"]["play_rate"] == [0.25, 0.25, 0.25]
    assert content["arms"]["louder/r2"]["metrics"]["finish_rate"][0] == 0


def test_sample_ratio_mismatch_fails(here: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    plan_experiment(here)
    write(here.home, world(800, lost=0.3))
    assert main([]) == 1
    assert "FAILED: sample-ratio mismatch" in capsys.readouterr().out
    assert "<b>FAILED" in (here.reports / "experiment.html").read_text()


def test_without_an_experiment_no_report_is_written(here: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    write(here.home, [row(0, "u", "r1"), row(1, "u", "r2")])
    assert main([]) == 0
    assert "no exposures of an experiment" in capsys.readouterr().out
    assert not (here.reports / "experiment.json").exists()
