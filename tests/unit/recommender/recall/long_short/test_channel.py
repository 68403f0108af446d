"""Long- and short-term interest, information lifting and gate, on histories made by hand."""

import copy
from pathlib import Path

import numpy as np
import torch

from config.dataclass_io import change_config
from event_store.store import DAY_US
from recommender.recall.long_short.channel import LongShort
from recommender.recall.long_short.program import LongShortProgram
from recommender.recall.sequence_merge import merge_clicks
from recommender.user.user_batch import UserBatch
from tests.support.sequences.batches import batch_of
from tests.support.training.tiny_world import item_codes
from training.data.training_data import TrainingData
from training.networks.long_short import LongShortNetwork, build_requests
from training.recall.long_short import SessionSampler, repeat_loss
from training.recipes import config_of
from training.train import fit_channel

NOW = 1_700_000_000_000_000


def favorite_of_a_year_ago() -> UserBatch:
    """A user who played track 2 60 times in a month a year ago, and 300 other tracks twice each since."""
    played = [(2, NOW - 365 * DAY_US + n * DAY_US // 2) for n in range(60)]
    played += [(3 + n % 300, NOW - 200 * DAY_US + n * DAY_US // 4) for n in range(600)]
    history = batch_of(
        "behavior track_id occurred_at ended_at", [("full_play", track, ended - 1, ended) for track, ended in played]
    )
    return UserBatch(["u"], np.array([NOW]), {"played_history": history, "recent_events": history.newest(50)})


def test_program_equals_the_network() -> None:
    torch.manual_seed(1)
    config = change_config(config_of(LongShort, "small"), {"items.width": 16})
    users, artist_V = favorite_of_a_year_ago(), np.maximum(np.arange(310) // 2 + 1, 0)
    requests, network = build_requests(users, config, artist_V), LongShortNetwork(config, item_codes(310)).eval()
    network.fit_normalization(requests.feature_BMF[0])
    torch.nn.init.normal_(network.wide.weight)
    with torch.no_grad():
        interests = network.interests(requests)
        expected = network.query("new", requests, interests), network.repeat_scores(requests, interests)[0]
    events, gap = merge_clicks(users, 50).events(0), int(requests.query_gap_B[0])
    items, features = requests.repeat_item_BM[0].numpy(), requests.feature_BMF[0].numpy()
    found = LongShortProgram(config, network.export()).score((events[0], events[1], events[3]), gap, items, features)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(one), other, rtol=1e-4, atol=1e-5)


def test_repeat_loss_by_hand() -> None:
    score = torch.tensor([[1.0, 2.0, -torch.inf], [0.0, 0.0, 0.0], [3.0, 1.0, 2.0]])
    again = torch.tensor([[False, True, False], [False, False, False], [True, False, True]])
    first = -torch.log(torch.tensor([1.0, 2.0]).softmax(0))[1]
    third = -torch.log(torch.tensor([3.0, 1.0, 2.0]).softmax(0))[[0, 2]].mean()
    torch.testing.assert_close(repeat_loss(score, again), (first + third) / 2)
    assert repeat_loss(score, torch.zeros_like(again)).item() == 0.0


def test_training_sessions_do_not_contain_their_own_events(data: TrainingData) -> None:
    config = change_config(config_of(LongShort, "debug"), {"sampling.min_history_plays": 3})
    sampler = SessionSampler(data, config)
    assert len(sampler) > 0
    batch = sampler.sessions(0, 7, 16)
    again = sampler.sessions(0, 7, 16)
    assert torch.equal(batch.target_BT, again.target_BT)
    assert torch.equal(batch.requests.feature_BMF, again.requests.feature_BMF)
    remembered, repeated = batch.requests.repeat_item_BM, batch.is_repeated_BM
    for row in range(16):
        wanted = set(batch.target_BT[row].tolist()) - {0}
        if len(wanted) < config.sampling.targets_per_session:
            assert set(remembered[row][repeated[row]].tolist()) <= wanted
        assert not set(batch.target_BT[row][batch.is_new_BT[row]].tolist()) & set(remembered[row].tolist())


def test_the_network_of_the_held_out_fit_is_kept_for_the_present_catalog(data: TrainingData, tmp_path: Path) -> None:
    config = change_config(config_of(LongShort, "debug"), {"validation.early_stopping_step": 2})
    fitted = fit_channel(LongShort, data, config, tmp_path / "fit")
    fitted.save(tmp_path)
    later = copy.copy(data)
    later.held_out_model, later.catalog_V = tmp_path, data.catalog_V.copy()
    gone = int(np.flatnonzero(data.catalog_V)[0])
    later.catalog_V[gone] = False
    kept = fit_channel(LongShort, later, config, tmp_path / "fit")
    assert kept.catalog.tolist() == np.flatnonzero(later.catalog_V).tolist() and gone in fitted.catalog
    for name, weights in fitted.weights.items():
        np.testing.assert_array_equal(kept.weights[name], weights, name)
