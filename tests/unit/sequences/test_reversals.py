"""Reversals in sequences, compared with plain Python."""

import random

import numpy as np

from sequences.behaviors import load_behaviors
from sequences.sequence_batch import FIRST_CODE, drop_reversed, find_reversed
from tests.support.sequences.batches import batch_of

NAMES = ("full_play", "skip", "like", "unlike", "dislike", "undislike")


def without_reversed(events: list[tuple[str, int]]) -> list[tuple[str, int]]:
    kept: list[tuple[str, int]] = []
    for name, item in events:
        if name.startswith("un"):
            kept = [one for one in kept if one != (name[2:], item) or item < FIRST_CODE]
        else:
            kept.append((name, item))
    return kept


def test_reversals_and_what_they_take_back_are_dropped():
    rng = random.Random(3)
    rows = [
        [(rng.choice(NAMES), rng.choice((1, FIRST_CODE, FIRST_CODE + 1))) for _ in range(rng.randrange(12))]
        for _ in range(200)
    ]
    expected = batch_of("behavior track_id", *map(without_reversed, rows), length=12)
    found = drop_reversed(batch_of("behavior track_id", *rows, length=12))
    assert found.length_B.tolist() == expected.length_B.tolist()
    for name, column in expected.columns.items():
        assert (found.columns[name] == column).all(), name


def test_events_that_are_taken_back_later_by_the_same_user_are_found():
    code = load_behaviors().encoder
    events = [  # user, behavior, item, whether it is known, whether it is taken back
        (0, "like", 2, True, True),
        (0, "like", 3, True, False),
        (0, "unlike", 2, True, False),
        (0, "like", 2, True, False),
        (0, "unlike", 3, False, False),  # not known yet
        (1, "like", 2, True, True),
        (1, "collect", 2, True, False),
        (1, "unlike", 2, True, False),
        (2, "unlike", 3, True, False),
    ]
    user_E, names, item_E, is_past_E, expected_E = (np.array(column) for column in zip(*events, strict=True))
    is_event_E, is_reversed_E = find_reversed(item_E, np.array([code[name] for name in names]), user_E, is_past_E)
    assert is_event_E.tolist() == [name != "unlike" for name in names]
    assert is_reversed_E.tolist() == expected_E.tolist()
