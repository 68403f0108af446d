from __future__ import annotations

import numpy as np

from sequences import behaviours
from sequences.sequence_batch import SequenceBatch
from training.data.user_history import items_listened_twice, select_listens, unique_history_items

CODE = behaviours.load_behaviours().encoder


def _view(*rows: list[int]) -> SequenceBatch:
    width = max(len(row) for row in rows)
    tracks = np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int64)
    return SequenceBatch({"track_id": tracks}, np.array([len(row) for row in rows]))


def test_select_listens_drops_skips_and_moves_the_rest_left() -> None:
    played = [["full_play", "skip", "play"], ["skip", "skip"], ["play"], []]
    behaviour, track = np.zeros((4, 3), dtype=np.int64), np.zeros((4, 3), dtype=np.int64)
    for row, names in enumerate(played):
        behaviour[row, : len(names)] = [CODE[name] for name in names]
        track[row, : len(names)] = np.arange(len(names)) + 10 * row + 2
    history = SequenceBatch({"track_id": track, "behaviour": behaviour}, np.array([3, 2, 1, 0]))
    listens = select_listens(history)
    assert listens.columns["track_id"].tolist() == [[2, 4, 0], [0, 0, 0], [22, 0, 0], [0, 0, 0]]
    assert listens.columns["behaviour"].tolist()[0] == [CODE["full_play"], CODE["play"], 0]
    assert listens.length_B.tolist() == [2, 0, 1, 0]
    assert track[0].tolist() == [2, 3, 4]


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
        "behaviour": np.array([[CODE[name] for name in names]]),
        "played_ratio": np.array([ratios], dtype=np.float32),
    }
    views = {"played_history": SequenceBatch(columns, np.array([len(events)]))}
    assert items_listened_twice(views).tolist() == [2, 4]


def test_history_is_the_union_of_both_views_without_unknown_tracks() -> None:
    items = unique_history_items(
        {"played_history": _view([7, 3, 7, 1], [], [5]), "recent_events": _view([9, 3], [4, 1], [])}
    )
    assert [items[row].tolist() for row in range(3)] == [[3, 7, 9], [4], [5]]
