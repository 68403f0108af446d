"""Targets of windows, compared with a loop over the user's events."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from recommender.recall.sequence_merge import POSITIVE_BEHAVIORS
from sequences import behaviors
from training.data.training_data import TrainingData
from training.recall.windows import WindowSampler

SAMPLING = SimpleNamespace(horizon=1, user_sampling_exponent=0.5)


def test_targets_are_among_the_next_events_of_their_kind(data: TrainingData) -> None:
    sampler = WindowSampler(data, length=12, sampling=SAMPLING)
    windows = sampler.windows(0, 0, 40)
    code = behaviors.load_behaviors().encoder
    positive = [code[name] for name in POSITIVE_BEHAVIORS]
    reader = data.reader("recent_events")
    seen = 0
    for row in range(40):
        length = int((windows["item_BL"][row] > 0).sum())
        user, last = place(reader, sampler, windows["item_BL"][row, :length], windows["behavior_BL"][row, :length])
        for column in range(length):
            at = last - length + 1 + column
            after = range(at + 1, int(sampler.end_U[user]))
            listened = next((int(sampler.item_E[one]) for one in after if sampler.behavior_E[one] in positive), 0)
            assert windows["next_BL"][row, column] == listened
            seen += listened > 0
    assert seen > 100


def test_windows_of_listens_have_the_events_that_may_be_targets(data: TrainingData) -> None:
    every, listens = (WindowSampler(data, 12, SAMPLING, has_listens_only=flag) for flag in (False, True))
    np.testing.assert_array_equal(listens.item_E, every.item_E[every.target_N["next"]])
    np.testing.assert_array_equal(listens.first_U, np.searchsorted(every.target_N["next"], every.first_U))
    assert len(listens) < len(every)


def place(reader, sampler: WindowSampler, items: np.ndarray, behavior: np.ndarray) -> tuple[int, int]:
    """The user and the last event of the only position with this sequence of events."""
    found = []
    for user in range(len(reader.users)):
        for last in range(int(sampler.first_U[user]) + len(items) - 1, int(sampler.end_U[user])):
            here = slice(last - len(items) + 1, last + 1)
            is_same = (sampler.item_E[here] == items).all() and (sampler.behavior_E[here] == behavior).all()
            # A short window is one that begins with the user's first event.
            if is_same and (len(items) == sampler.length or here.start == sampler.first_U[user]):
                found.append((user, last))
    assert len(found) == 1
    return found[0]
