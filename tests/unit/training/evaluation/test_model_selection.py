"""What validation may choose by."""

from __future__ import annotations

import numpy as np

from training.data.ragged import Ragged
from training.evaluation.model_selection import filter_known_items
from training.recall.channel import Candidates


def test_only_what_could_be_known_or_was_heard_is_fused_to_choose_by() -> None:
    known_V = np.array([False, False, True, True, False, False])
    heard = Ragged(np.array([4]), np.array([0, 1, 1]))  # item 4, by the first user alone
    found = {"one": Candidates.from_ranking(np.array([[5, 4, 3, 2], [4, 3, 0, 0]]))}
    kept = filter_known_items(found, heard, known_V)["one"]
    assert kept.items_BK.tolist() == [[4, 3, 2, 0], [3, 0, 0, 0]]
    assert kept.scores_BK.tolist() == [[-1, -2, -3, -np.inf], [-1, -np.inf, -np.inf, -np.inf]]
