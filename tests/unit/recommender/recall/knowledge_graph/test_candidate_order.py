"""The learned order of the graph's candidates: features against plain Python, learning, and no leak of later plays."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.nn.trees import PastRequests
from recommender.recall.knowledge_graph.candidate_features import FEATURE_NAMES, NO_LISTEN
from recommender.recall.knowledge_graph.channel import KnowledgeGraphWalks
from recommender.recall.knowledge_graph.graph import HEARD_NEAR
from recommender.recall.learned_order import reorder
from sequences import behaviors
from tests.support.training.tiny_world import NEVER, SERVICES, START, random_plays, users_at, write_marts
from training.data.training_data import TrainingData
from training.recall import learned_order
from training.recall.knowledge_graph import end_train_earlier, sample_requests
from training.recall.learned_order import build_examples, fit_trees
from training.recipes import config_of, recipe
from training.train import fit_channel

USERS = ["u0", "u1", "u2", "u3"]
FRACTION = 0.4  # the tiny world has few new tracks at the end
ORDER = config_of(KnowledgeGraphWalks, "small").order
CONFIG = replace(
    config_of(KnowledgeGraphWalks, "debug"),
    order=replace(ORDER, trees=5, min_candidates_per_leaf=2, train_fraction=FRACTION),
)
pytestmark = pytest.mark.usefixtures("every_order_is_accepted")


@pytest.fixture(scope="module")
def channel(data: TrainingData) -> KnowledgeGraphWalks:
    """A channel with a learned order."""
    fitted = fit_channel(KnowledgeGraphWalks, data, CONFIG, Path())
    assert fitted.order is not None
    return fitted


def test_features_equal_plain_python(data: TrainingData, channel: KnowledgeGraphWalks) -> None:
    middle = int(np.median(data.plays.request_at_P))
    users = users_at(data, channel.feature_service, USERS, [NEVER, middle, middle, NEVER])
    artist_of, plays = data.vocabulary.artist_of_track_V, data.plays
    for row, (items, features) in enumerate(channel.candidate_features(users)):
        history = users.views["played_history"]
        length = int(history.length_B[row])
        tracks = history.columns["track_id"][row, :length].tolist()
        full_play = behaviors.load_behaviors().encoder["full_play"]
        listened = [code == full_play for code in history.columns["behavior"][row, :length].tolist()]
        first = [track not in tracks[:place] for place, track in enumerate(tracks)]
        discoveries = [track for track, is_first in zip(tracks, first, strict=True) if is_first]
        assert len(items) > 3
        for place, item in enumerate(items.tolist()):
            artist = artist_of[item]

            def share(some: list[int], artist: int = artist) -> float:
                return float(np.mean(artist_of[some] == artist))

            def first_listen(tracks: list[int]) -> int:
                rows = (plays.part_P == 0) & plays.is_listened_P & np.isin(plays.track_P, tracks)
                return int(plays.known_at_P[rows].min(initial=NO_LISTEN))

            def log_age(at: int, now: int = int(users.request_at_B[row])) -> float:
                return float(np.log(max((now - at) / 1e6, 60.0) if at < now else 1e9))

            by_artist = [place for place, track in enumerate(tracks) if artist_of[track] == artist]
            expected = {
                "log_rank": np.log1p(place),
                "log_rank_within_artist": np.log1p(sum(artist_of[other] == artist for other in items[:place])),
                "artist_candidates": np.log1p(sum(artist_of[other] == artist for other in items)),
                "artist_share_of_10_plays": share(tracks[-10:]),
                "artist_share_of_50_plays": share(tracks[-50:]),
                "artist_share_of_10_discoveries": share(discoveries[-10:]),
                "artist_listens": np.log1p(sum(listened[number] for number in by_artist)),
                "artist_known_tracks": np.log1p(len({tracks[number] for number in by_artist})),
                "artist_plays_since": np.log1p(length - by_artist[-1] if by_artist else length + 1),
                "artist_skip_share": np.mean([not listened[number] for number in by_artist]) if by_artist else 0.0,
                "listeners": np.log1p(channel.listeners_V[item]),
                "first_listen_age": log_age(first_listen([item])),
                "artist_first_listen_age": log_age(first_listen(np.flatnonzero(artist_of == artist).tolist())),
                "discovery_share_50": np.mean(first[-50:]),
                "artists_of_10_plays": len({artist_of[track] for track in tracks[-10:]}),
            }
            found = dict(zip(FEATURE_NAMES, features[place].tolist(), strict=True))
            assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_trees_move_targets_up_and_leave_the_rest_in_the_order_of_the_walk() -> None:
    generator = np.random.default_rng(0)
    requests, count = 200, 30
    features = generator.random((requests * count, len(FEATURE_NAMES)), dtype=np.float32)
    is_target = features[:, 3] > 0.9
    examples = PastRequests(features, is_target, np.full(requests, count))
    order = fit_trees(examples, replace(ORDER, min_candidates_per_leaf=20), KnowledgeGraphWalks.objective, 0)
    items = np.arange(100, 140)
    ordered = reorder(order, items, features[:count])
    assert sorted(ordered[:count].tolist()) == items[:count].tolist(), "only candidates with features move"
    assert ordered[count:].tolist() == items[count:].tolist()
    assert np.isin(ordered[: is_target[:count].sum()], items[:count][is_target[:count]]).mean() > 0.7
    assert (
        fit_trees(replace(examples, is_target_R=np.zeros_like(is_target)), ORDER, KnowledgeGraphWalks.objective, 0)
        is None
    )


def test_earlier_requests_have_no_targets_after_the_train_part(tmp_path: Path) -> None:
    """Sessions of 10 plays; the second begins in `train` and ends in `test`."""
    plays = [
        ("u0", f"t{number}", START + timedelta(minutes=4 * number, hours=9 * (number // 10)), 180_000)
        for number in range(20)
    ]
    data = TrainingData(write_marts(tmp_path, plays), "held_out", recipe("debug"), services=SERVICES)
    targets = end_train_earlier(data, FRACTION).recall_cases("validation").items["targets"]
    assert data.vocabulary.decode(targets[0]) == [f"t{number}" for number in range(10, 16)]


def test_order_does_not_learn_from_plays_after_its_requests(tmp_path: Path) -> None:
    """Examples of the newest requests are the same if all plays after the train part differ, and no co-occurrence edge
    that they are walked on comes from these requests.
    """
    plays = random_plays()
    data = TrainingData(write_marts(tmp_path / "a", plays), "held_out", recipe("debug"), services=SERVICES)
    train = int((data.plays.part_P[data.plays.user_P == 0] == 0).sum())
    later = [
        (user, "t1", ended, 180_000) if number % 150 >= train else (user, track, ended, played)
        for number, (user, track, ended, played) in enumerate(plays)
    ]
    other = TrainingData(write_marts(tmp_path / "b", later), "held_out", recipe("debug"), services=SERVICES)
    other.vocabulary, other.catalog_V = data.vocabulary, data.catalog_V
    other.plays = replace(other.plays, track_P=other.vocabulary.encode([track for _, track, _, _ in later]))
    found = []
    for world in (data, other):
        earlier = end_train_earlier(world, FRACTION)
        past = fit_channel(KnowledgeGraphWalks, earlier, replace(CONFIG, order=replace(ORDER, trees=0)), Path())
        past.is_servable_V = earlier.validation_catalog_V
        found.append(build_examples(past, sample_requests(earlier, 60, 1000, 0), earlier, "reachable"))
        edges = past.graph.head_T[past.graph.relation_T == past.graph.relations.index(HEARD_NEAR)]
        is_past = earlier.plays.part_P == 0
        assert set(edges.tolist()) <= set(earlier.plays.track_P[is_past].tolist())
        assert past.archive.known_at_P.max() <= earlier.plays.known_at_P[is_past].max()
    assert found[0].is_target_R.any()
    assert np.array_equal(found[0].features_RN, found[1].features_RN)
    assert np.array_equal(found[0].is_target_R, found[1].is_target_R)


def test_requests_of_the_fit_know_what_was_played_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what was played after the plays that the graph is built from. Each user plays all tracks once, 5 a session."""
    random = np.random.default_rng(0)
    plays = [
        (user, f"t{track}", START + timedelta(hours=9 * (number // 5), minutes=4 * number), 180_000)
        for user in USERS
        for number, track in enumerate(random.permutation(30))
    ]
    data = TrainingData(write_marts(tmp_path, plays), "held_out", recipe("debug"), services=SERVICES)
    known: list[bool] = []

    def see(channel: KnowledgeGraphWalks, seen: TrainingData) -> None:
        plays, cases = seen.plays, sample_requests(seen, 60, 1000, 0)
        for user_id, now in zip(cases.user_ids.tolist(), cases.request_at_C.tolist(), strict=True):
            of_user = plays.user_P == int(np.flatnonzero(seen.user_ids_U == user_id)[0])
            before = np.unique(plays.track_P[of_user & (plays.known_at_P < now)])
            known.append(np.array_equal(np.sort(channel.archive.tracks_before(user_id, now)), before))

    def see_examples(past: Any, _: Any, earlier: TrainingData, __: str) -> PastRequests:
        see(past, earlier)
        return PastRequests(np.zeros((0, 0), np.float32), np.zeros(0, bool), np.zeros(0, np.int64))

    def compare_orders(channel: Any, *_: Any) -> tuple[bool, dict[str, Any]]:
        see(channel, data)
        return False, {}

    monkeypatch.setattr(learned_order, "build_examples", see_examples)
    monkeypatch.setattr(learned_order, "fit_trees", lambda *_: object())
    monkeypatch.setattr(learned_order, "compare_orders", compare_orders)
    fitted = fit_channel(KnowledgeGraphWalks, data, CONFIG, Path())
    assert known and all(known)
    assert fitted.archive.known_at_P.max() <= data.plays.known_at_P[data.plays.part_P == 0].max()


def test_the_order_of_the_held_out_fit_is_copied(
    data: TrainingData, channel: KnowledgeGraphWalks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.save(tmp_path)
    later = copy.copy(data)
    later.held_out_model = tmp_path
    monkeypatch.setattr(learned_order, "fit_trees", None)
    copied = fit_channel(KnowledgeGraphWalks, later, channel.resolved_config, Path())
    users = users_at(data, channel.feature_service, USERS, [NEVER] * 4)
    assert np.array_equal(copied.recall(users, 9), channel.recall(users, 9))
