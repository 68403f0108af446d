"""Verdicts of the gate on hand-made slates."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from releases.format import MissingInput
from training.release.gate import METRIC, judge


def slate(values: dict[str, list[float]], day: int = 0) -> pl.DataFrame:
    """One request per value, in the given order for each user."""
    rows = [
        (user, day + at, f"t{day + at}", value) for user, figures in values.items() for at, value in enumerate(figures)
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "request_at", "targets", METRIC], orient="row")
    return frame.with_columns(rules=pl.lit("one per artist"))


SLATE = {f"u{user}": [0.30 + user / 1000, 0.34] for user in range(40)}


def shifted(by: float) -> pl.DataFrame:
    return slate({user: [value + by for value in values] for user, values in SLATE.items()})


@pytest.mark.parametrize(
    ("baseline", "production", "failure"),
    [
        (-0.05, None, ""),
        (+0.003, None, ""),  # one percent
        (+0.02, None, "FAILS: slate .* baseline last_played"),
        (-0.1, 0.0, ""),
        (-0.1, +0.01, "FAILS: slate minus production"),
    ],
)
def test_release_fails_if_it_is_worse_than_a_baseline_or_production(
    baseline: float, production: float | None, failure: str
) -> None:
    baselines = {"last_played": shifted(baseline), "most_played": shifted(-0.2)}
    verdict = judge(slate(SLATE), baselines, None if production is None else shifted(production))
    assert verdict.is_passed == (not failure)
    assert re.search(failure, " ".join(verdict.reasons))
    assert verdict.figures["slate - last_played"] == pytest.approx([-baseline] * 3)


def test_noisy_loss_fails_where_a_precise_one_of_the_same_size_passes() -> None:
    noise = np.where(np.arange(40) % 2, 0.15, -0.15)
    noisy = slate(
        {user: [v - 0.001 + n for v in values] for (user, values), n in zip(SLATE.items(), noise, strict=True)}
    )
    baseline = {"last_played": shifted(-0.2)}
    assert judge(shifted(-0.001), baseline, slate(SLATE)).is_passed
    assert not judge(noisy, baseline, slate(SLATE)).is_passed


def test_production_is_compared_on_common_requests() -> None:
    lucky = pl.concat([shifted(0), slate({"u1": [0.9] * 50}, day=1000)])
    verdict = judge(slate(SLATE), {"last_played": shifted(-0.1)}, lucky)
    assert verdict.is_passed and "on 80 common requests" in verdict.reasons[1]
    elsewhere = slate({"another": [0.9, 0.9]}, day=5000)
    assert judge(slate(SLATE), {"last_played": shifted(-0.1)}, elsewhere).is_passed


def test_empty_slate_is_an_error() -> None:
    with pytest.raises(MissingInput, match="land more plays"):
        judge(slate({}), {"last_played": shifted(0)}, None)


ONE = {"me": [0.5, 0.7, 0.4, 0.6, 0.9, 0.3, 0.8, 0.5]}
"""Requests of a single user."""


def against(changes: list[float]) -> pl.DataFrame:
    return slate({"me": [value + change for value, change in zip(ONE["me"], changes, strict=True)]})


def test_insignificant_loss_of_a_single_user_passes() -> None:
    # Better on half of the requests, worse on the others, .02 worse in the mean.
    baseline = {"last_played": against([0.1, -0.06, 0.1, -0.06, 0.1, -0.06, 0.1, -0.06])}
    verdict = judge(slate(ONE), baseline, None)
    assert verdict.is_passed and "no significant difference" in verdict.reasons[0]
    value, low, high = verdict.figures["slate - last_played"]
    assert value == pytest.approx(-0.02) and low < -0.03 and high > 0
    assert f"{value:+.4f} [{low:+.4f}, {high:+.4f}]" in verdict.reasons[0]


def test_significant_loss_of_a_single_user_fails() -> None:
    baseline = {"last_played": against([0.1, 0.06, 0.1, 0.06, 0.1, 0.06, 0.1, 0.06])}
    assert not judge(slate(ONE), baseline, None).is_passed
    worse, worst = {"last_played": against([-0.2] * 8)}, against([0.1, 0.06, 0.1, 0.06, 0.1, 0.06, 0.1, 0.06])
    assert not judge(slate(ONE), worse, worst).is_passed
    assert judge(slate(ONE), worse, against([0.1, -0.08, 0.1, -0.08, 0.1, -0.08, 0.1, -0.08])).is_passed


def test_point_estimate_of_many_users_decides() -> None:
    # With noise between many users, the same mean loss fails: only the margin of 1 % applies.
    users = {f"u{user}": [0.5] for user in range(12)}
    baseline = slate({user: [0.5 + (0.12 if int(user[1:]) % 2 else -0.08)] for user in users})
    assert not judge(slate(users), {"last_played": baseline}, None).is_passed


def test_production_with_other_rules_of_lists_is_not_compared() -> None:
    capped = slate(SLATE).with_columns(rules=pl.lit("at most 4"))
    for production in (shifted(+0.1), shifted(+0.1).with_columns(rules=pl.lit("at most 15"))):
        verdict = judge(capped, {"last_played": shifted(-0.05)}, production)
        assert verdict.is_passed and "selected by other rules" in verdict.reasons[1]
    same = shifted(+0.1).with_columns(rules=pl.lit("at most 4"))
    assert not judge(capped, {"last_played": shifted(-0.05)}, same).is_passed
