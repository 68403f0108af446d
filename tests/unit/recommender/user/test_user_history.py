from __future__ import annotations

import numpy as np

from recommender.user.user_batch import items_listened_twice, unique_history_items
from tests.support.sequences.batches import batch_of


def test_two_whole_plays_of_a_clip_too_short_for_a_listen_are_heard_twice() -> None:
    plays = [(2, "skip"), (2, "skip"), (3, "skip"), (3, "skip"), (4, "skip"), (4, "play")]
    view = batch_of("track_id behavior", plays)
    view.columns["played_ratio"] = np.array([[1.0, 0.9, 1.0, 0.5, 1.0, 0.4]], dtype=np.float32)
    assert items_listened_twice({"played_history": view}).tolist() == [2, 4]


def test_history_is_the_union_of_both_views_without_unknown_tracks() -> None:
    items = unique_history_items(
        {
            "played_history": batch_of("track_id", [[7], [3], [7], [1]], [], [[5]]),
            "recent_events": batch_of("track_id", [[9], [3]], [[4], [1]], []),
        }
    )
    assert [items[row].tolist() for row in range(3)] == [[3, 7, 9], [4], [5]]
