"""Commands of training.experiments on hand-made marts: reports, exit codes and error messages."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.unit.training.experiments.exposure_mart import AT, row, write
from training.data.user_sampling import hash_bucket
from training.experiments.__main__ import main
from training.release import traffic_split
from training.release.traffic_split import TrafficSplit

SINCE = AT - timedelta(hours=1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    return tmp_path


def plan_experiment(home: Path, since: datetime = SINCE) -> None:
    """Write a traffic split of one half that started at `since`."""
    file = home / "bentoml" / "shares.json"
    traffic_split.write(file, TrafficSplit().with_share("r2", home, 0.5, "louder"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"since": since.isoformat() + "+00:00"}))


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


def test_arms_are_compared_and_sample_ratio_checked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan_experiment(home)
    write(home, [*world(400), row(-4_000, "early", "louder/r2"), row(5, "u", "r0")])
    assert main(["compare"]) == 0
    content = json.loads((home / "reports" / "experiment.json").read_text())
    assert (content["experiment"], content["baseline"], content["shared_users"]) == ("louder", "louder/production", 0)
    assert content["sample_ratio"]["holds"] is True and sum(content["sample_ratio"]["users"].values()) == 400
    value, low, high = content["differences"]["louder/r2 - louder/production"]["likes_per_1000"]
    assert low < 100 < high and low > 0 and value == pytest.approx(100, abs=25)
    _, low, high = content["differences"]["louder/r2 - louder/production"]["play_rate"]
    assert low == high == 0  # every user plays a quarter
    assert content["arms"]["louder/r2"]["metrics"]["play_rate"] == [0.25, 0.25, 0.25]
    assert content["arms"]["louder/r2"]["metrics"]["finish_rate"][0] == 0
    page = (home / "reports" / "experiment.html").read_text()
    assert "Experiment louder" in page and "sample ratio as planned" in page and "<b>FAILED" not in page
    assert not any(remote in page for remote in ("http://", "https://", "<script", '<link rel="stylesheet'))
    printed = capsys.readouterr().out
    assert "sample ratio as planned" in printed and "likes_per_1000: +" in printed


def test_sample_ratio_mismatch_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan_experiment(home)
    write(home, world(800, lost=0.3))
    assert main(["compare", "--experiment", "louder"]) == 1
    assert "FAILED: sample-ratio mismatch" in capsys.readouterr().out
    assert "<b>FAILED" in (home / "reports" / "experiment.html").read_text()


def test_without_experiment_releases_are_compared_with_a_warning_about_time(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(n, f"u{n % 10}", "r1" if n < 50 else "r2", is_played=True, is_skip=n < 50) for n in range(100)]
    write(home, [*rows, row(-30 * 86_400, "u1", "r0")])
    assert main(["compare", "--baseline", "r1"]) == 0
    content = json.loads((home / "reports" / "experiment.json").read_text())
    assert list(content["arms"]) == ["r1", "r2"] and content["sample_ratio"] is None
    assert content["differences"]["r2 - r1"]["skip_rate"] == [-1, -1, -1]
    assert "every difference includes effects of time" in capsys.readouterr().out
    assert main(["compare", "--baseline", "r9"]) == 2
    assert "arms: r1, r2" in capsys.readouterr().err


def test_few_users_give_no_verdict(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, [row(n, f"u{n % 9}", "r1" if n < 50 else "r2", is_played=True, is_skip=n < 50) for n in range(100)])
    assert main(["compare", "--baseline", "r1"]) == 0
    content = json.loads((home / "reports" / "experiment.json").read_text())
    assert content["differences"]["r2 - r1"]["skip_rate"] == [-1, None, None]
    assert content["arms"]["r1"]["metrics"]["skip_rate"] == [1, None, None]
    page, printed = (home / "reports" / "experiment.html").read_text(), capsys.readouterr().out
    assert "<small>too few users</small>" in page and "<small>less</small>" not in page
    assert "skip_rate: -1.0000, too few users" in printed


def test_without_exposures_no_report_is_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare"]) == 2
    assert "dbt build" in capsys.readouterr().err
    write(home, [])
    assert main(["compare"]) == 0
    assert "there are no exposures yet; no report was written" in capsys.readouterr().out
    write(home, [row(0, "u")])
    plan_experiment(home)
    assert main(["compare"]) == 0
    assert "there are no exposures of experiment louder" in capsys.readouterr().out
    assert main(["compare", "--experiment", "quieter"]) == 2
    assert "known experiments: louder" in capsys.readouterr().err
    assert not (home / "reports").exists()


def explored(count: int) -> list[dict[str, object]]:
    """Exploration slots of two tracks, of which one is played to its end, and 50 deterministic slots."""
    exploration = [
        row(n, f"u{n}", target_id="ab"[n % 2], is_exploration=True, propensity=0.5, is_full_play=n % 2 == 0)
        for n in range(count)
    ]
    return [*exploration, *(row(count + n, f"u{n}", target_id="c", is_full_play=True) for n in range(50))]


def policy(home: Path, rows: list[dict[str, object]]) -> Path:
    pl.DataFrame(rows).write_parquet(home / "policy.parquet")
    return home / "policy.parquet"


def test_policy_reward_is_that_of_its_items(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, explored(400))
    always_a = policy(home, [{"event_id": f"q{n}-0", "probability": float(n % 2 == 0)} for n in range(400)])
    assert main(["off_policy", str(always_a)]) == 0
    content = json.loads((home / "reports" / "off_policy.json").read_text())
    assert content["snips"][0] == content["ips"][0] == 1 and content["as_shown"] == 0.5
    assert (content["effective"], content["places"]) == (200, 400)
    assert main(["off_policy", str(always_a), "--reward", "is_liked"]) == 0
    assert json.loads((home / "reports" / "off_policy.json").read_text())["snips"] == [0, 0, 0]
    printed = capsys.readouterr().out
    assert "effective: 200.0" in printed and "trust SNIPS" not in printed
    never_b = policy(home, [{"event_id": f"q{n}-0", "probability": 0.5 * (n % 2 == 0)} for n in range(400)])
    assert main(["off_policy", str(never_b)]) == 0
    assert "the mean weight is 0.500 instead of 1" in capsys.readouterr().out


def test_repeated_exposures_of_a_list_count_once(home: Path) -> None:
    rows = explored(400)
    again = [one | {"event_id": f"again{n}-0", "is_full_play": True, "shown_at": one["shown_at"] + timedelta(hours=1)}
             for n, one in enumerate(rows[:400])]  # fmt: skip
    write(home, [*again, *rows])
    probabilities = [{"event_id": f"q{n}-0", "probability": 0.5} for n in range(400)]
    assert main(["off_policy", str(policy(home, probabilities))]) == 0
    content = json.loads((home / "reports" / "off_policy.json").read_text())
    assert (content["places"], content["effective"], content["as_shown"]) == (400, 400, 1)


@pytest.mark.parametrize(
    ("count", "probability_of", "code", "message"),
    [
        (
            99,
            lambda n: {"probability": 0.5},
            1,
            "refused: the effective sample size of the 99 exploration slots is 99.0",
        ),
        (
            400,
            lambda n: {"probability": 0.5} if n else {"event_id": "other", "probability": 0.5},
            2,
            "1 of 400 .* q0-0",
        ),
        (400, lambda n: {"event_id": "q0-0", "probability": 0.5}, 2, "contains q0-0 twice"),
        (400, lambda n: {"chance": 0.5}, 2, "has the columns chance, event_id; it needs"),
        (400, lambda n: {"probability": 2.0}, 2, "probability 2 is not from 0 to 1"),
    ],
)
def test_invalid_policy_is_refused(home, capsys, count, probability_of, code, message) -> None:
    write(home, explored(count))
    file = policy(home, [{"event_id": f"q{n}-0"} | probability_of(n) for n in range(count)])
    assert main(["off_policy", str(file)]) == code
    assert re.search(message, capsys.readouterr().err)
    assert not (home / "reports" / "off_policy.json").exists()


def test_a_policy_that_is_not_parquet_is_an_invalid_argument(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, explored(400))
    text = home / "policy.txt"
    text.write_text("event_id,probability\nq0-0,0.5\n")
    assert main(["off_policy", str(text)]) == 2
    assert f"error: {text} cannot be read as Parquet" in capsys.readouterr().err


def test_ids_of_events_may_have_another_type(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, explored(400))
    assert main(["off_policy", str(policy(home, [{"event_id": n, "probability": 0.5} for n in range(400)]))]) == 2
    assert "400 of 400 exploration slots are not in" in capsys.readouterr().err
