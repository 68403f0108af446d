"""Reasons of repeats: what they say of hand-made listens, and that they are true of random ones."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recommender.recall.reason import repeat_reasons
from served_behavior.listeners import Listener
from served_behavior.reason_truth import ReasonTruth, TrackFacts
from serving.messages import render_reason

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
MARCH, LAST_JUNE, IN_YEARS = (
    [datetime(year, month, day) for day in range(2, 7)] for year, month in ((2026, 3), (2025, 6), (2024, 1))
)


def days_ago(*days: float) -> list[datetime]:
    return [NOW - timedelta(days=one) for one in days]


def micros(times: list[datetime]) -> np.ndarray:
    return np.array([int(one.replace(tzinfo=UTC).timestamp() * 1e6) for one in times], dtype=np.int64)


@pytest.mark.parametrize(
    ("times", "text"),
    [
        (days_ago(3), "because you have listened to it before"),
        (days_ago(3, 2), "because you have listened to it 2 times"),
        (days_ago(3, 2, 1), "because you play it a lot these days"),
        ([*MARCH, *days_ago(3, 2)], "because you listened to it a lot in March"),
        ([*LAST_JUNE, *MARCH[:4]], "because you listened to it a lot in June 2025"),
        (IN_YEARS[:3], "because you last listened to it 2 years ago"),
        (days_ago(40, 22), "because you last listened to it 3 weeks ago"),
        (days_ago(20, 12, 3), "because you listen to it almost every week"),
        ([MARCH[0], *days_ago(40, 3)], "because you have come back to it since March"),
        ([IN_YEARS[0], MARCH[0], *days_ago(3)], "because you have come back to it since January 2024"),
    ],
)
def test_listens_are_told_in_weeks_and_months_where_these_say_more(times: list[datetime], text: str) -> None:
    (now,) = micros([NOW])
    found = repeat_reasons(np.full(len(times), 7), micros(times), [7, 8], int(now))
    assert render_reason(found.pop(7), "en") == text and not found


@pytest.mark.parametrize("scale_days", [5, 40, 300, 1000])
def test_reasons_of_random_listens_are_true(scale_days: int) -> None:
    generator, (now,) = np.random.default_rng(scale_days), micros([NOW]).tolist()
    age_days = generator.exponential(scale_days, 400)
    times = np.sort(now - (age_days * 86_400e6).astype(np.int64))
    tracks = generator.integers(2, 80, len(times))
    events = [
        {"track_id": str(track), "behavior": "full_play", "ended_at": at}
        for track, at in zip(tracks.tolist(), times.tolist(), strict=True)
    ]
    truth = ReasonTruth(TrackFacts({}, {}, {}, {}), Listener("u", events, {"recent_events": []}, {}, now))
    found = repeat_reasons(tracks, times, range(2, 80), now)
    assert [track for track, reason in found.items() if not truth.is_true(str(track), reason)] == []
    later = {track: reason for track, reason in found.items() if reason.code != "listened_before"}
    assert not any(truth.is_true("1", reason) for reason in later.values())  # of a track without listens
