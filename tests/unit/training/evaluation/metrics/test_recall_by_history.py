"""Recall by length of history, against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.training.recall_cases import Case, recall_cases
from training.evaluation.metrics import recall_by_group


def test_by_history_groups_cases_by_earlier_plays() -> None:
    cases = recall_cases([Case("a", [2], [], [], play_number=n) for n in (3, 99, 100, 30_000)])
    found = recall_by_group.recall_by_history(np.array([0.2, 0.4, 0.6, 0.9]), cases)
    assert {name: interval[0] for name, interval in found.items()} == pytest.approx(
        {"0-99": 0.3, "100-999": 0.6, "20000+": 0.9}
    )
