"""Rules of the declared views."""

from __future__ import annotations

import pytest

from sequences.sequence_views import INFERRED_BEHAVIORS, SEQUENCE_VIEWS, SORT_KEY_ATTRIBUTES


@pytest.mark.parametrize("name", SEQUENCE_VIEWS)
def test_views_have_the_sort_key_and_inferred_behaviors_only_in_daily_ones(name: str) -> None:
    view = SEQUENCE_VIEWS[name]
    assert view.length > 0
    assert set(SORT_KEY_ATTRIBUTES) <= set(view.attribute_names), "batch and live parts are merged by them"
    assert view.is_daily or not {*view.behaviors} & {*INFERRED_BEHAVIORS}
    assert not view.is_daily or {*view.behaviors} <= {*INFERRED_BEHAVIORS}, "live events would be missing"
