"""Slots of repeats and discoveries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.slate.slots import discovery_slots, feasible_share

SHARES = (0.0, 0.05, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.7, 0.75, 0.9, 1.0)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("count", [1, 3, 10, 30, 100])
def test_share_of_slots_is_as_requested(share, count):
    slots = discovery_slots(share, count)
    assert len(slots) == count
    assert share * count - 1 < slots.sum() <= share * count + 1e-6
    # Evenly spaced: two gaps between discoveries, and between repeats, differ by at most one.
    for kind in (True, False):
        gaps = np.diff(np.flatnonzero(slots == kind))
        assert not len(gaps) or gaps.max() - gaps.min() <= 1


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 60), st.integers(0, 20))
def test_larger_shares_have_more_discoveries_in_every_prefix(one, other, count, first):
    low, high = sorted((one, other))
    assert (discovery_slots(low, count).cumsum() <= discovery_slots(high, count).cumsum()).all()
    assert discovery_slots(one, first + count)[first:].tolist() == discovery_slots(one, count, first).tolist()


TWO_OF_40 = np.array([True] * 2 + [False] * 38)


@pytest.mark.parametrize(
    ("share", "is_discovery", "count", "expected"),
    [
        (0.5, TWO_OF_40, 20, 0.1),  # 2 of 20
        (0.05, TWO_OF_40, 20, 0.05),
        (0.2, ~TWO_OF_40, 20, 0.9),  # 2 repeats only
        (0.2, TWO_OF_40[:0], 20, 0.2),
        (0.0, TWO_OF_40, 40, 0.0),
        (1.0, TWO_OF_40, 40, 1.0),
    ],
)
def test_share_is_limited_by_the_candidates_unless_it_is_pure(share, is_discovery, count, expected):
    assert feasible_share(share, is_discovery, count) == pytest.approx(expected)
