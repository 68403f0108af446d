"""The commands over marts made by hand: what they write, and what they say where they cannot."""

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


def ask(home: Path, since: datetime = SINCE) -> None:
    """Half of the users are asked for, as the releases' command would, long ago."""
    file = home / "bentoml" / "shares.json"
    traffic_split.write(file, TrafficSplit().with_share("r2", home, 0.5, "louder"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"since": since.isoformat() + "+00:00"}))


def world(users: int, lost: float = 0.0) -> list[dict[str, object]]:
    """Users in halves by hash, twenty exposures each, a quarter of them played; r2 has twice the likes.

    Of r2's users a share is `lost`.
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


def test_arms_are_compared_and_shares_checked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(home)
    write(home, [*world(400), row(-4_000, "early", "louder/r2"), row(5, "u", "r0")])
    assert main(["compare"]) == 0
    content = json.loads((home / "reports" / "experiment.json").read_text())
    assert (content["experiment"], content["baseline"], content["shared_users"]) == ("louder", "louder/production", 0)
    assert content["sample_ratio"]["holds"] is True and sum(content["sample_ratio"]["users"].values()) == 400
    value, low, high = content["differences"]["louder/r2 - louder/production"]["likes_per_1000"]
    assert low < 100 < high and low > 0 and value == pytest.approx(100, abs=25)
    _, low, high = content["differences"]["louder/r2 - louder/production"]["play_rate"]
    assert low == high == 0  # everybody plays a quarter
    assert content["arms"]["louder/r2"]["metrics"]["play_rate"] == [0.25, 0.25, 0.25]
    assert content["arms"]["louder/r2"]["metrics"]["finish_rate"][0] == 0
    page = (home / "reports" / "experiment.html").read_text()
    assert "Experiment louder" in page and "users are divided as asked" in page and "<b>FAILED" not in page
    assert not any(remote in page for remote in ("http://", "https://", "<script", "<link"))
    printed = capsys.readouterr().out
    assert "users are divided as asked" in printed and "likes_per_1000: +" in printed


def test_shares_that_are_not_those_asked_for_fail_plainly(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(home)
    write(home, world(800, lost=0.3))
    assert main(["compare", "--experiment", "louder"]) == 1
    assert "FAILED: users are not divided as asked" in capsys.readouterr().out
    assert "<b>FAILED" in (home / "reports" / "experiment.html").read_text()


def test_without_an_experiment_releases_are_compared_and_time_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(n, f"u{n % 9}", "r1" if n < 50 else "r2", is_played=True, is_skip=n < 50) for n in range(100)]
    write(home, [*rows, row(-30 * 86_400, "u1", "r0")])
    assert main(["compare", "--baseline", "r1"]) == 0
    content = json.loads((home / "reports" / "experiment.json").read_text())
    assert list(content["arms"]) == ["r1", "r2"] and content["sample_ratio"] is None
    assert content["differences"]["r2 - r1"]["skip_rate"] == [-1, -1, -1]
    assert "time is mixed into every difference" in capsys.readouterr().out
    assert main(["compare", "--baseline", "r9"]) == 2
    assert "arms: r1, r2" in capsys.readouterr().err


def test_where_there_is_nothing_it_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare"]) == 2
    assert "dbt build" in capsys.readouterr().err
    write(home, [])
    assert main(["compare"]) == 0
    assert "nothing was shown yet: there is no report" in capsys.readouterr().out
    write(home, [row(0, "u")])
    ask(home)
    assert main(["compare"]) == 0
    assert "nothing was shown in experiment louder" in capsys.readouterr().out
    assert main(["compare", "--experiment", "quieter"]) == 2
    assert "there: louder" in capsys.readouterr().err
    assert not (home / "reports").exists()


def explored(count: int) -> list[dict[str, object]]:
    """Places filled by chance among two tracks, one of which is played to its end; the rest was not by chance."""
    by_chance = [
        row(n, f"u{n}", target_id="ab"[n % 2], is_exploration=True, propensity=0.5, is_full_play=n % 2 == 0)
        for n in range(count)
    ]
    return [*by_chance, *(row(count + n, f"u{n}", target_id="c", is_full_play=True) for n in range(50))]


def policy(home: Path, rows: list[dict[str, object]]) -> Path:
    pl.DataFrame(rows).write_parquet(home / "policy.parquet")
    return home / "policy.parquet"


def test_a_policy_earns_what_its_items_earned(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert "the weights average 0.500 and not 1" in capsys.readouterr().out


def test_a_list_that_is_shown_again_is_one_draw(home: Path) -> None:
    rows = explored(400)
    again = [one | {"event_id": f"again{n}-0", "is_full_play": True, "shown_at": one["shown_at"] + timedelta(hours=1)}
             for n, one in enumerate(rows[:400])]  # fmt: skip
    write(home, [*again, *rows])
    asked = [{"event_id": f"q{n}-0", "probability": 0.5} for n in range(400)]
    assert main(["off_policy", str(policy(home, asked))]) == 0
    content = json.loads((home / "reports" / "off_policy.json").read_text())
    assert (content["places"], content["effective"], content["as_shown"]) == (400, 400, 1)


@pytest.mark.parametrize(
    ("count", "asked", "code", "said"),
    [
        (99, lambda n: {"probability": 0.5}, 1, "refused: the 99 exploration places are worth 99.0"),
        (
            400,
            lambda n: {"probability": 0.5} if n else {"event_id": "other", "probability": 0.5},
            2,
            "1 of 400 .* q0-0",
        ),
        (400, lambda n: {"event_id": "q0-0", "probability": 0.5}, 2, "names q0-0 twice"),
        (400, lambda n: {"chance": 0.5}, 2, "has the columns chance, event_id; it needs"),
        (400, lambda n: {"probability": 2.0}, 2, "probability 2 is not from 0 to 1"),
    ],
)
def test_a_policy_that_cannot_be_judged_is_refused(home, capsys, count, asked, code, said) -> None:
    write(home, explored(count))
    file = policy(home, [{"event_id": f"q{n}-0"} | asked(n) for n in range(count)])
    assert main(["off_policy", str(file)]) == code
    assert re.search(said, capsys.readouterr().err)
    assert not (home / "reports" / "off_policy.json").exists()
