"""Sums over the plays of each track, against plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.recall.repeat_features import COUNT_DAYS, DECAYS, SUMS, PlayColumns, SumOptions, sum_plays

SKIP, RECENT, START_PLAYS, DAY_US = 0.2, 3, 2, 86_400_000_000
KERNEL_L = np.array([0.5, 0.25])


def test_sums_equal_plain_python() -> None:
    random = np.random.default_rng(0)
    N, T = 60, 7
    of_N = np.concatenate([np.arange(T), random.integers(0, T, N - T)])
    ended_at_N = np.cumsum(random.choice([200_000_000, 3_000_000_000, 90_000_000_000], N)) + 1_780_000_000_000_000
    request_at = int(ended_at_N[-1]) + 500_000_000
    listened_N, full_N = random.random(N) < 0.7, random.random(N) < 0.4
    age_N = (request_at - ended_at_N) / 1e6
    first_D = np.array([int((age_N > days * 86_400).sum()) for days in COUNT_DAYS])
    hour = request_at / 1e6 % 86_400 / 3_600
    session_N = np.cumsum(random.choice([0, 0, 3], N))
    plays = PlayColumns(of_N, ended_at_N, np.log(age_N), listened_N, full_N, session_N)
    found = sum_plays(plays, T, first_D, KERNEL_L, SumOptions(hour, SKIP, RECENT, START_PLAYS))

    begins = [True, *(np.diff(session_N) > 0).tolist()]
    session = np.cumsum(begins) - 1
    recency = [sum(1 / (1 + 0.1 * r) for r in range(RECENT) if of_N[-1 - r] == track) for track in range(T)]
    signal = [recency[of_N[play]] if play < N - RECENT else 0.0 for play in range(N)]
    hour_of = [at / 1e6 % 86_400 / 3_600 for at in ended_at_N.tolist()]
    place = [play - next(p for p in range(play, -1, -1) if begins[p]) for play in range(N)]
    weight = np.where(listened_N, 1.0, SKIP)
    assert found.session_N.tolist() == session.tolist()
    for track in range(T):
        own = np.flatnonzero(of_N == track).tolist()
        assert found.first_T[track] == own[0]
        assert found.last_T3[track].tolist() == [*own[::-1], -1, -1][:3]
        expected = dict.fromkeys(SUMS, 0.0)
        for before, play in zip([None, *own], own, strict=False):
            listened, at = float(listened_N[play]), int(ended_at_N[play])
            apart = abs(hour_of[play] - hour)
            at_hour = math.exp(-(min(apart, 24 - apart) ** 2) / 8)
            for decay in DECAYS:
                expected[f"activation_{decay}"] += weight[play] * age_N[play] ** -decay
            for days in COUNT_DAYS:
                expected[f"listens_{days}d"] += listened * (age_N[play] <= days * 86_400)
            expected["plays"] += 1
            expected["plays_28d"] += age_N[play] <= 28 * 86_400
            expected["listens"] += listened
            expected["full_plays"] += full_N[play]
            expected["activation_at_hour"] += at_hour * weight[play] * age_N[play] ** -0.5
            expected["listens_at_hour"] += at_hour * listened
            expected["activation_at_start"] += weight[play] * age_N[play] ** -0.8 * (place[play] < START_PLAYS)
            if before is not None:
                log_gap = math.log(max((at - int(ended_at_N[before])) / 1e6, 60))
                expected["gaps"] += 1
                expected["log_gap"] += log_gap
                expected["squared_log_gap"] += log_gap**2
            is_new = before is None or session[before] != session[play]
            assert found.is_new_N[play] == is_new and found.is_first_N[play] == (before is None)
            expected["sessions"] += is_new
            expected["days"] += before is None or at // DAY_US != int(ended_at_N[before]) // DAY_US
            after = sum(KERNEL_L[d - 1] * signal[play - d] for d in (1, 2) if play >= d)
            ahead = sum(KERNEL_L[d - 1] * signal[play + d] for d in (1, 2) if play + d < N)
            expected["comes_next"] += after * listened
            expected["came_before"] += ahead * listened
            expected["near_by_recency"] += (after + ahead) * listened * age_N[play] ** -0.5
            for other in (play - 1, play + 1):
                if 0 <= other < N and session[other] == session[play]:
                    same = of_N == of_N[other]
                    expected["neighbors"] += float((weight[same] / age_N[same]).sum())
        for name, value in expected.items():
            assert found.sums_TS[track, SUMS.index(name)] == pytest.approx(value, rel=1e-9, abs=1e-12), name
