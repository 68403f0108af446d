"""The knowledge_graph channel on a simulated world with known soundtracks, and on the tiny world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recommender.recall.knowledge_graph.channel import KnowledgeGraphWalks
from recommender.recall.knowledge_graph.graph import HEARD_NEAR
from recommender.recall.play_archive import PlayArchive
from recommender.user.user_batch import UserBatch
from tests.support.training.tiny_world import NEVER, SERVICES, random_plays, users_at, write_marts
from training.data.training_data import TrainingData, archive_plays
from training.recall.knowledge_graph import build_cooccurrence_edges
from training.recipes import config_of, recipe
from training.train import fit_channel


def test_played_tracks_are_excluded(data: TrainingData) -> None:
    fitted = fit_channel(KnowledgeGraphWalks, data, config_of(KnowledgeGraphWalks, "debug"), Path())
    found = fitted.recall(users_at(data, fitted.feature_service, ["u0", "u1", "u2", "u3"], [NEVER] * 4), 40)
    for user in range(4):
        mine = data.plays.track_P[data.plays.user_P == user]
        assert len(mine) and found[user].any() and not np.isin(found[user], mine).any()


def test_first_plays_are_point_in_time_and_limited_to_the_newest(data: TrainingData, tmp_path: Path) -> None:
    plays = data.plays
    first_plays = archive_plays(data).first_plays()
    first_plays.save(tmp_path)
    everything, last = PlayArchive.load(tmp_path), first_plays.newest(3)
    for user, name in enumerate(data.user_ids_U):
        rows = np.flatnonzero((plays.user_P == user) & (plays.part_P == 0))
        time = int(plays.known_at_P[rows[len(rows) // 2]])
        assert set(everything.tracks_before(str(name), time).tolist()) == set(
            plays.track_P[rows[plays.known_at_P[rows] < time]].tolist()
        )
        assert last.tracks_before(str(name), NEVER).tolist() == list(dict.fromkeys(plays.track_P[rows].tolist()))[-3:]
    assert not len(everything.tracks_before("unknown_user", NEVER))


@pytest.mark.parametrize("window", [1, 3])
def test_cooccurrence_edges_equal_counts_by_hand(data: TrainingData, window: int) -> None:
    plays = data.plays
    by: dict[tuple[int, int], set[int]] = {}
    rows = np.flatnonzero((plays.part_P == 0) & plays.is_listened_P)
    for place, row in enumerate(rows.tolist()):
        for other in rows[place + 1 : place + 1 + window].tolist():
            a, b = int(plays.track_P[row]), int(plays.track_P[other])
            if plays.session_start_P[row] == plays.session_start_P[other] and a != b:
                by.setdefault((a, b), set()).add(int(plays.user_P[row]))
                by.setdefault((b, a), set()).add(int(plays.user_P[row]))
    expected = []
    for track in sorted({a for a, _ in by}):
        near = sorted((-len(users), b) for (a, b), users in by.items() if a == track)
        expected += [(track, b, -count) for count, b in near[:4]]
    assert (
        list(zip(*(column.tolist() for column in build_cooccurrence_edges(data, window, 4)), strict=True)) == expected
    )


def test_comparison_of_orders_does_not_recall_tracks_of_validation_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays = random_plays()
    user, _, ended, _ = plays[125]
    plays[125] = (user, "t99", ended, 180_000)
    data = TrainingData(write_marts(tmp_path, plays), "held_out", recipe("debug"), services=SERVICES)
    (only_there,) = data.vocabulary.encode(["t99"])
    brought: list[np.ndarray] = []
    recall = KnowledgeGraphWalks.recall

    def recording_recall(channel: KnowledgeGraphWalks, users: UserBatch, k: int) -> np.ndarray:
        brought.append(recall(channel, users, k))
        return brought[-1]

    monkeypatch.setattr(KnowledgeGraphWalks, "recall", recording_recall)
    fitted = fit_channel(KnowledgeGraphWalks, data, config_of(KnowledgeGraphWalks, "debug"), Path())
    assert any(items_BK.any() for items_BK in brought)
    assert not any((items_BK == only_there).any() for items_BK in brought)
    assert (fitted.is_servable_V == data.catalog_V).all(), "the tuning catalog is not the served catalog"
    assert HEARD_NEAR in fitted.graph.relations
