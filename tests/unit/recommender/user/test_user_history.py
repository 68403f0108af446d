from __future__ import annotations

import numpy as np

from recommender.user.user_batch import items_listened_twice, unique_history_items
from sequences import behaviors
from sequences.sequence_batch import SequenceBatch
from tests.support.sequences.batches import batch_of

CODE = behaviors.load_behaviors().encoder


def test_two_whole_plays_of_a_clip_too_short_for_a_listen_are_heard_twice() -> None:
    events = [
        (2, "skip", 1.0),
        (2, "skip", 0.9),
        (3, "skip", 1.0),
        (3, "skip", 0.5),
        (4, "skip", 1.0),
        (4, "play", 0.4),
    ]
    tracks, names, ratios = zip(*events, strict=True)
    columns = {
        "track_id": np.array([tracks]),
        "behavior": np.array([[CODE[name] for name in names]]),
        "played_ratio": np.array([ratios], dtype=np.float32),
    }
    assert items_listened_twice({"played_history": SequenceBatch(columns, np.array([len(events)]))}).tolist() == [2, 4]


def test_history_is_the_union_of_both_views_without_unknown_tracks() -> None:
    items = unique_history_items(
        {
            "played_history": batch_of("track_id", [[7], [3], [7], [1]], [], [[5]]),
            "recent_events": batch_of("track_id", [[9], [3]], [[4], [1]], []),
        }
    )
    assert [items[row].tolist() for row in range(3)] == [[3, 7, 9], [4], [5]]
