"""Verdicts of the gate on hand-made slates."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from training.release.gate import METRIC, judge


def slate(values: dict[str, list[float]], day: int = 0) -> pl.DataFrame:
    """One request per value, in the given order for each user."""
    rows = [
        (user, day + at, f"t{day + at}", value) for user, figures in values.items() for at, value in enumerate(figures)
    ]
    return pl.DataFrame(rows, schema=["user_id", "request_at", "targets", METRIC], orient="row").with_columns(
        rules=pl.lit("one per artist")
    )


SLATE = {f"u{user}": [0.30 + user / 1000, 0.34] for user in range(40)}


def changed(values: dict[str, list[float]], changes: np.ndarray | float) -> pl.DataFrame:
    """A slate whose requests, in order, differ by these changes."""
    flat = np.concatenate(list(values.values())) + np.resize(changes, sum(map(len, values.values())))
    parts = np.split(flat, np.cumsum([len(one) for one in values.values()])[:-1])
    return slate({user: part.tolist() for user, part in zip(values, parts, strict=True)})


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
    baselines = {"last_played": changed(SLATE, baseline), "most_played": changed(SLATE, -0.2)}
    verdict = judge(slate(SLATE), baselines, None if production is None else changed(SLATE, production))
    assert verdict.is_passed == (not failure)
    assert re.search(failure, " ".join(verdict.reasons))
    assert verdict.figures["slate - last_played"] == pytest.approx([-baseline] * 3)


def test_production_is_compared_on_common_requests() -> None:
    verdict = judge(
        slate(SLATE),
        {"last_played": changed(SLATE, -0.1)},
        pl.concat([changed(SLATE, 0), slate({"u1": [0.9] * 50}, day=1000)]),
    )
    assert verdict.is_passed and "on 80 common requests" in verdict.reasons[1]
    assert judge(
        slate(SLATE), {"last_played": changed(SLATE, -0.1)}, slate({"another": [0.9, 0.9]}, day=5000)
    ).is_passed


ALTERNATING = np.tile([1, -1], 4)
ONE = {"me": [0.5, 0.7, 0.4, 0.6, 0.9, 0.3, 0.8, 0.5]}
MANY = {f"u{user}": [0.5] for user in range(12)}


@pytest.mark.parametrize(
    ("users", "baseline", "production", "is_passed"),
    [
        # Better on half of the requests, worse on the others, .02 worse in the mean: not significant for a single user.
        pytest.param(ONE, 0.02 + 0.08 * ALTERNATING, None, True, id="insignificant loss of one user"),
        pytest.param(ONE, 0.08 + 0.02 * ALTERNATING, None, False, id="significant loss of one user"),
        pytest.param(ONE, -0.2, 0.08 + 0.02 * ALTERNATING, False, id="significantly worse than production"),
        pytest.param(ONE, -0.2, 0.01 + 0.09 * ALTERNATING, True, id="insignificantly worse than production"),
        # With noise between many users, the same mean loss fails: only the margin of 1 % applies.
        pytest.param(MANY, 0.02 - 0.1 * ALTERNATING, None, False, id="point estimate of many users"),
        pytest.param(SLATE, -0.2, 0.001, True, id="precise loss within the margin"),
        pytest.param(
            SLATE, -0.2, 0.001 + 0.15 * np.resize([1, 1, -1, -1], 80), False, id="noisy loss of the same size"
        ),
    ],
)
def test_only_significant_losses_count_for_one_user_and_the_margin_for_many(
    users: dict[str, list[float]], baseline: np.ndarray | float, production: np.ndarray | None, is_passed: bool
) -> None:
    before = None if production is None else changed(users, production)
    assert judge(slate(users), {"last_played": changed(users, baseline)}, before).is_passed == is_passed


def test_production_with_other_rules_of_lists_is_not_compared() -> None:
    capped = slate(SLATE).with_columns(rules=pl.lit("at most 4"))
    for production in (changed(SLATE, +0.1), changed(SLATE, +0.1).with_columns(rules=pl.lit("at most 15"))):
        verdict = judge(capped, {"last_played": changed(SLATE, -0.05)}, production)
        assert verdict.is_passed and "selected by other rules" in verdict.reasons[1]
    assert not judge(
        capped, {"last_played": changed(SLATE, -0.05)}, changed(SLATE, +0.1).with_columns(rules=pl.lit("at most 4"))
    ).is_passed
