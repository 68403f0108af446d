"""The gate's verdicts on slates made by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from training.release.gate import METRIC, judge


def slate(values: dict[str, list[float]], day: int = 0) -> pl.DataFrame:
    """One request a value, in the order given for each user."""
    rows = [
        (user, day + at, f"t{day + at}", value) for user, figures in values.items() for at, value in enumerate(figures)
    ]
    return pl.DataFrame(rows, schema=["user_id", "request_at", "targets", METRIC], orient="row")


MINE = {f"u{user}": [0.30 + user / 1000, 0.34] for user in range(40)}


def shifted(by: float) -> pl.DataFrame:
    return slate({user: [value + by for value in values] for user, values in MINE.items()})


def test_the_first_release_passes_against_a_worse_memory() -> None:
    verdict = judge(slate(MINE), {"last_played": shifted(-0.05), "most_played": shifted(-0.02)}, None)
    assert verdict.is_passed
    assert verdict.figures["slate - most_played"] == pytest.approx([0.02, 0.02, 0.02])


def test_fails_against_a_better_memory_and_says_which() -> None:
    verdict = judge(slate(MINE), {"last_played": shifted(+0.02), "most_played": shifted(-0.05)}, None)
    assert not verdict.is_passed
    assert verdict.reasons[0].startswith("FAILS") and "last_played" in verdict.reasons[0]


def test_one_percent_below_a_memory_is_no_worse() -> None:
    assert judge(slate(MINE), {"last_played": shifted(+0.003)}, None).is_passed


def test_fails_against_better_production() -> None:
    verdict = judge(slate(MINE), {"last_played": shifted(-0.1)}, shifted(+0.01))
    assert not verdict.is_passed
    assert verdict.reasons[1].startswith("FAILS: slate minus production")


def test_equal_to_production_passes() -> None:
    assert judge(slate(MINE), {"last_played": shifted(-0.1)}, slate(MINE)).is_passed


def test_an_uncertain_loss_fails_where_a_certain_one_of_the_same_size_passes() -> None:
    noise = np.where(np.arange(40) % 2, 0.15, -0.15)
    noisy = slate(
        {user: [v - 0.001 + n for v in values] for (user, values), n in zip(MINE.items(), noise, strict=True)}
    )
    memory = {"last_played": shifted(-0.2)}
    assert judge(shifted(-0.001), memory, slate(MINE)).is_passed
    assert not judge(noisy, memory, slate(MINE)).is_passed


def test_production_is_compared_on_common_requests_only() -> None:
    lucky = pl.concat([shifted(0), slate({"u1": [0.9] * 50}, day=1000)])
    verdict = judge(slate(MINE), {"last_played": shifted(-0.1)}, lucky)
    assert verdict.is_passed and "on 80 common requests" in verdict.reasons[1]


def test_without_a_common_request_the_memory_decides() -> None:
    elsewhere = slate({"somebody": [0.9, 0.9]}, day=5000)
    assert judge(slate(MINE), {"last_played": shifted(-0.1)}, elsewhere).is_passed
    assert not judge(slate(MINE), {"last_played": shifted(+0.1)}, elsewhere).is_passed


def test_nothing_to_judge() -> None:
    with pytest.raises(ValueError, match=r"training\.evaluate"):
        judge(slate({}), {"last_played": shifted(0)}, None)


ONE = {"me": [0.5, 0.7, 0.4, 0.6, 0.9, 0.3, 0.8, 0.5]}
"""One person's requests."""


def against(changes: list[float]) -> pl.DataFrame:
    return slate({"me": [value + change for value, change in zip(ONE["me"], changes, strict=True)]})


def test_of_one_person_a_loss_that_may_be_chance_is_none() -> None:
    # Better on half of the requests, worse on the others, .02 worse in the mean.
    memory = {"last_played": against([0.1, -0.06, 0.1, -0.06, 0.1, -0.06, 0.1, -0.06])}
    verdict = judge(slate(ONE), memory, None)
    assert verdict.is_passed and "may be chance" in verdict.reasons[0]
    value, low, high = verdict.figures["slate - last_played"]
    assert value == pytest.approx(-0.02) and low < -0.03 and high > 0


def test_of_one_person_a_certain_loss_fails() -> None:
    memory = {"last_played": against([0.1, 0.06, 0.1, 0.06, 0.1, 0.06, 0.1, 0.06])}
    assert not judge(slate(ONE), memory, None).is_passed
    worse, worst = {"last_played": against([-0.2] * 8)}, against([0.1, 0.06, 0.1, 0.06, 0.1, 0.06, 0.1, 0.06])
    assert not judge(slate(ONE), worse, worst).is_passed
    assert judge(slate(ONE), worse, against([0.1, -0.08, 0.1, -0.08, 0.1, -0.08, 0.1, -0.08])).is_passed


def test_of_many_users_the_point_decides_against_a_memory() -> None:
    # Noise between users: of so many the same mean loss fails, as chance has its margin there.
    many = {f"u{user}": [0.5] for user in range(12)}
    memory = slate({user: [0.5 + (0.12 if int(user[1:]) % 2 else -0.08)] for user in many})
    assert not judge(slate(many), {"last_played": memory}, None).is_passed
