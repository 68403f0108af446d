"""Times of live events."""

from __future__ import annotations

import pytest

from sequences.online import live_events


@pytest.mark.parametrize("value", [None, 1.5, [], {}, "soon"])
def test_a_value_that_is_no_time_is_an_invalid_event(value: object) -> None:
    with pytest.raises(live_events.LiveEventError, match="is not a time"):
        live_events.parse_time_us(value)
