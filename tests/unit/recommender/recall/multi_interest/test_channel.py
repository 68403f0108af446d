"""Parts of the multi_interest channel on small examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from config.dataclass_io import change_config
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.multi_interest.channel import InterestNames, MultiInterest, recent_listens
from recommender.recall.multi_interest.program import MultiInterestProgram, UserInterests, merge_similar
from tests.support.sequences.batches import batch_of
from tests.support.serving.small_release import tracks
from tests.support.training.planted_world import listener_of
from tests.support.training.tiny_world import item_codes
from training.networks.multi_interest import DynamicRouting, MultiInterestNetwork
from training.recall.multi_interest import split_windows
from training.recipes import config_of


def test_routing_equals_the_algorithm_of_the_paper() -> None:
    """With one restart; the oracle loops over users, listens and interests."""
    torch.manual_seed(3)
    config = change_config(
        config_of(MultiInterest, "small"),
        {"items.width": 6, "encoder.interests": 3, "encoder.routing_restarts": 1, "encoder.routing_sharpness": 4.0},
    )
    routing = DynamicRouting(config)
    torch.nn.init.normal_(routing.bilinear.weight)
    item_BLD = torch.nn.functional.normalize(torch.randn(2, 9, 6), dim=-1)
    weight_BL = torch.rand(2, 9) + 0.5
    item_BLD[1, 5:], weight_BL[1, 5:] = 0, 0
    with torch.no_grad():
        vector_BKD, _ = routing(item_BLD, weight_BL, torch.tensor([[True] * 3, [True, True, False]]))
        for user, (listens_of_user, interests) in enumerate([(9, 3), (5, 2)]):
            seen = [routing.bilinear(item_BLD[user, i]) for i in range(listens_of_user)]
            seen = [one / one.norm() for one in seen]
            first = torch.stack([one @ routing.start_SDK[0] for one in seen])
            logit = ((first - first.mean(0)) / first.std(0, unbiased=False)).tolist()
            for turn in range(3):
                share = [torch.tensor(row[:interests]).softmax(0) for row in logit]
                capsules = []
                for k in range(interests):
                    total = sum(weight_BL[user, i] * share[i][k] * seen[i] for i in range(listens_of_user))
                    capsules.append(total.norm() ** 2 / (1 + total.norm() ** 2) * total / total.norm())
                if turn == 2:
                    break
                for i in range(listens_of_user):
                    for k in range(interests):
                        logit[i][k] += 4.0 * float(capsules[k] @ seen[i])
            torch.testing.assert_close(vector_BKD[user, :interests], torch.stack(capsules), rtol=1e-4, atol=1e-5)


def test_similar_interests_are_merged_and_small_ones_dropped() -> None:
    vector = np.array([[1, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0, 1]], dtype=np.float32)
    # 12 listens: 5 of the first, 4 of the second, 2 of the third (like the first), 1 of the last
    share = np.eye(4, dtype=np.float32)[[0] * 5 + [1] * 4 + [2] * 2 + [3]].T
    found = UserInterests(np.arange(12), *merge_similar(vector, share, 0.8, 0.1))
    np.testing.assert_allclose(found.vector_KD, [(5 * vector[0] + 2 * vector[2]) / 7, vector[1]], rtol=1e-6)
    assert found.interest_L[:11].tolist() == [0] * 5 + [1] * 4 + [0] * 2
    assert found.interest_L[11] in (0, 1), "remaining listens belong to an active interest"


@pytest.mark.parametrize("length", [1, 3, 60])
def test_program_equals_the_network(length: int) -> None:
    torch.manual_seed(1)
    changes = {"items.width": 8, "encoder.merge_cosine_threshold": 0.9999}
    config = change_config(config_of(MultiInterest, "small"), changes)
    network = MultiInterestNetwork(config, item_codes(50)).eval()
    torch.nn.init.normal_(network.weight.weight, std=0.3)
    item_L = torch.randint(2, 50, (length,))
    with torch.no_grad():
        expected = network.interests(item_L[None])
        query_KD = network.query("new", expected.vector_BKD[0])
    program, K = MultiInterestProgram(config, network.export()), int(expected.is_active_BK.sum())
    found = program.interests(item_L.numpy())
    counts = np.bincount(expected.share_BKL[0, :K].argmax(0).numpy(), minlength=K)
    kept = np.flatnonzero((counts > 0) & (counts >= 0.05 * length))
    np.testing.assert_allclose(found.vector_KD, expected.vector_BKD[0, kept].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(program.query("new", found.vector_KD), query_KD[kept].numpy(), rtol=1e-4, atol=1e-5)


def test_windows_are_split_into_history_and_targets() -> None:
    windows = {
        "item_BL": np.array([[11, 12, 13, 14, 15, 16], [21, 22, 0, 0, 0, 0]]),
        "next_BL": np.array([[31, 32, 33, 34, 35, 0], [41, 42, 0, 0, 0, 0]]),
        "new_BL": np.array([[0, 52, 0, 54, 0, 0], [0, 61, 0, 0, 0, 0]]),
    }
    found = split_windows(windows, targets=3)
    assert {name: found[name].tolist() for name in ("listened", "next", "new")} == {
        "listened": [[11, 12, 13, 14, 0, 0], [21, 0, 0, 0, 0, 0]],
        "next": [[0, 0, 0, 34, 35, 0], [41, 42, 0, 0, 0, 0]],
        "new": [[0, 0, 0, 54, 0, 0], [0, 61, 0, 0, 0, 0]],
    }


def test_recent_listens_are_plays_and_positive_feedback_in_order() -> None:
    user = listener_of(np.array([5, 6, 7, 8]))
    names, ended = ("like", "skip", "full_play", "dislike"), user.views["recent_events"].columns["ended_at"][0]
    user.views["recent_events"] = batch_of(
        "behavior track_id occurred_at ended_at", list(zip(names, (5, 6, 7, 8), ended, ended, strict=True))
    )
    assert recent_listens(user, 6).tolist() == [[0, 5, 5, 6, 7, 8]]
    assert recent_listens(user, 2).tolist() == [[7, 8]]


def test_without_facets_names_are_artists() -> None:
    vocabulary = Vocabulary.build(tracks(6), tracks(6).select("track_id"))
    names = InterestNames([], np.zeros((len(vocabulary), 0), dtype=np.int64), vocabulary)
    assert names.name(vocabulary.encode(["t0", "t2", "t0"])) == "Artist 0 · Artist 1"
