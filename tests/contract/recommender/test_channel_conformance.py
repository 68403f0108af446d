"""Conformance suite: guarantees of every recall channel; see `RecallChannel`."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from config.dataclass_io import change_config
from recommender.recall.channel import REPEAT_CHANNELS, RecallChannel
from recommender.recall.reason import Reason
from recommender.recall.registry import CHANNELS
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import SequenceBatch
from serving.messages import LANGUAGES, render_reason
from tests.support.training.tiny_world import NEVER, SERVICES, described, random_plays, users_at
from training.data.training_data import TrainingData
from training.recall import learned_order
from training.recipes import config_of, recipe
from training.train import fit_channel

K = 7


LEARNED_ORDER = "knowledge_graph with learned order"


@pytest.fixture(scope="module", params=[*CHANNELS, LEARNED_ORDER])
def channel(request: pytest.FixtureRequest, described_data: TrainingData, tmp_path_factory: pytest.TempPathFactory):
    """A fitted channel of each kind and variant."""
    name = request.param.split()[0]
    config = config_of(CHANNELS[name], "debug")
    if request.param == LEARNED_ORDER:
        config = change_config(config, {"order.train_fraction": 0.4})
    with pytest.MonkeyPatch.context() as patch:
        if request.param == LEARNED_ORDER:
            patch.setattr(learned_order, "compare_orders", lambda *_: (True, {}))
        fitted = fit_channel(CHANNELS[name], described_data, config, tmp_path_factory.mktemp(name))
    assert request.param != LEARNED_ORDER or fitted.order is not None
    return fitted


@pytest.fixture
def requests(channel: RecallChannel, described_data: TrainingData) -> UserBatch:
    """Known users after, within and before their history, and an unknown user."""
    middle = int(np.median(described_data.plays.request_at_P))
    users = ["u0", "u1", "u2", "u3", "u0", "unknown_user"]
    return users_at(described_data, channel.feature_service, users, [NEVER, NEVER, middle, middle, 0, NEVER])


def test_content_gives_cold_item_thresholds(channel: RecallChannel) -> None:
    if hasattr(channel.resolved_config, "items"):
        assert "new" in channel.resolved_config.index.cold_item_thresholds


def test_channels_of_repeats_propose_played_tracks_only(channel: RecallChannel, requests: UserBatch) -> None:
    if channel.name in REPEAT_CHANNELS:
        items_BK = channel.recall(requests, K)
        assert (items_BK > 0).any() and requests.history_items.contains(items_BK)[items_BK > 0].all()


@pytest.mark.parametrize("k", [K, 5000], ids=["few", "more than the catalog has"])
def test_candidates_are_in_the_catalog_without_duplicates_and_padded_at_the_end(
    channel: RecallChannel, requests: UserBatch, described_data: TrainingData, k: int
) -> None:
    found = channel.recall(requests, k)
    assert found.shape == (len(requests), k)
    played_BL = requests.views["played_history"].columns["track_id"] if "played_history" in requests.views else None
    for row, items in enumerate(found):
        real = items[items > 0]
        is_played = np.isin(real, played_BL[row]) if played_BL is not None else False
        assert (described_data.catalog_V[real] | is_played).all()
        assert len(set(real.tolist())) == len(real)
        assert (items[len(real) :] == 0).all()
    assert (found[:2] > 0).any(1).all(), "a user with a history gets something"


def test_batch_equals_single(channel: RecallChannel, requests: UserBatch) -> None:
    together = channel.recall(requests, K)
    for row in range(len(requests)):
        assert channel.recall(requests.take([row]), K)[0].tolist() == together[row].tolist()


def test_save_and_load_equal(
    channel: RecallChannel, requests: UserBatch, described_data: TrainingData, tmp_path: Path
) -> None:
    channel.save(tmp_path)
    loaded = type(channel).load(tmp_path, described_data.vocabulary)
    assert loaded.resolved_config == channel.resolved_config
    assert np.array_equal(loaded.recall(requests, K), channel.recall(requests, K))
    assert not list(tmp_path.rglob("*.pkl"))


def test_unknown_tracks_raise_no_error(channel: RecallChannel, requests: UserBatch) -> None:
    views = {
        name: SequenceBatch(batch.columns | {"track_id": np.where(batch.mask_BL, 1, 0)}, batch.length_B)
        for name, batch in requests.views.items()
    }
    found = channel.recall(UserBatch(requests.user_ids, requests.request_at_B, views, requests.scene_B), K)
    assert found.shape == (len(requests), K)
    assert (found != 1).all()


def test_reasons_can_be_rendered_and_do_not_depend_on_other_items(channel: RecallChannel, requests: UserBatch) -> None:
    for row in range(len(requests)):
        single = requests.take([row])
        items = [item for item in channel.recall(single, 3)[0].tolist() if item]
        together = channel.reasons(single, items)
        assert together == [reason for item in items for reason in channel.reasons(single, [item])]
        for language in LANGUAGES:
            assert all(render_reason(reason, language) for reason in together)
    assert channel.reasons(requests.take([0]), []) == []


def test_no_reason_says_just_now_months_after_the_last_event(channel: RecallChannel, requests: UserBatch) -> None:
    def all_reasons(request_at_B: np.ndarray) -> list[Reason]:
        later = UserBatch(requests.user_ids, request_at_B, requests.views, requests.scene_B)
        singles = [later.take([row]) for row in range(len(later))]
        return [
            reason
            for single in singles
            for reason in channel.reasons(single, [item for item in channel.recall(single, 3)[0].tolist() if item])
        ]

    months = 60 * 86_400_000_000
    assert not any("just_now" in reason.code for reason in all_reasons(requests.request_at_B + months))
    if channel.name == "realtime":
        newest_B = requests.views["recent_events"].columns["ended_at"].max(axis=1)
        assert any("just_now" in reason.code for reason in all_reasons(newest_B + 1_000_000))


def test_similar_items_are_in_the_catalog_without_duplicates_and_without_the_item(
    channel: RecallChannel, described_data: TrainingData, tmp_path: Path
) -> None:
    channel.save(tmp_path)
    loaded, finds = type(channel).load(tmp_path, described_data.vocabulary), 0
    for item in range(2, len(described_data.vocabulary)):
        seeds = np.array([item])
        found = channel.similar_items(seeds, K)
        assert found.shape == (1, K)
        (items,) = found
        real = items[items > 0]
        assert described_data.catalog_V[real].all() and item not in real and len(set(real.tolist())) == len(real)
        assert (items[len(real) :] == 0).all()
        assert np.array_equal(loaded.similar_items(seeds, K), found)
        finds += len(real)
    assert (finds > 0) == (type(channel).similar_items is not RecallChannel.similar_items)


def test_recall_does_not_depend_on_later_events(
    channel: RecallChannel, described_data: TrainingData, tmp_path: Path
) -> None:
    """With data that differs only after the request time, the fitted channel returns the same candidates."""
    cut = sorted(play[2] for play in random_plays())[200]
    changed = [
        play if play[2] < cut else (play[0], "t39" if play[1] != "t39" else "t1", play[2], 180_000)
        for play in random_plays()
    ]
    other = TrainingData(described(tmp_path, changed), "held_out", recipe("debug"), services=SERVICES)
    # The vocabulary is the fitted world's: codes must mean the same tracks.
    other.vocabulary = described_data.vocabulary
    moment = int(pl.Series([cut - timedelta(microseconds=0)]).cast(pl.Datetime("us")).cast(pl.Int64)[0])
    users = ["u0", "u1", "u2", "u3"]
    before = channel.recall(users_at(described_data, channel.feature_service, users, [moment] * 4), K)
    assert np.array_equal(before, channel.recall(users_at(other, channel.feature_service, users, [moment] * 4), K))
