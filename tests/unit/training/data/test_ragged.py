from __future__ import annotations

from tests.support.training.recall_cases import ragged
from training.data.ragged import concatenate_ragged


def test_concatenate_ragged_keeps_the_order_of_the_parts() -> None:
    whole = concatenate_ragged([ragged([2, 3], []), ragged([], [9])])
    assert [whole[row].tolist() for row in range(4)] == [[2, 3], [], [], [9]]
    assert len(concatenate_ragged([]).count_C) == 0
