"""Sequences of groups and sessions, with and without negative behaviors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recommender.ranking.features.history_match import EVENT_MATCH_FEATURES, MATCH_FEATURES
from recommender.ranking.features.ranking_features import UNCLICKED_IMPRESSIONS
from recommender.ranking.ranker import as_tensors
from recommender.ranking.session_domains.model import SessionDomains
from sequences import behaviors
from tests.support.training.ranking_cases import (
    LEFT_ALONE,
    LISTEN,
    MINUTE,
    NOW,
    network_of,
    new_ranker,
    ranking_features,
    sequence,
    user_batch,
)


def test_unclicked_impressions_are_a_sequence_and_a_searched_history() -> None:
    features = ranking_features(plays=4, impressions=2)
    users = user_batch([[]])
    left = [(5, LEFT_ALONE, NOW - 60 * MINUTE), (6, LEFT_ALONE, NOW - 50 * MINUTE), (7, LEFT_ALONE, NOW - 40 * MINUTE)]
    users.views[UNCLICKED_IMPRESSIONS] = sequence([[*left, (8, LEFT_ALONE, NOW)]], 8)
    side = features.prepare_users(users)
    assert side.inputs.unclicked_impressions.track_BL.tolist() == [[6, 7]]  # 8 is not known yet
    assert side.inputs.unclicked_impressions.behavior_BL.tolist() == [[LEFT_ALONE] * 2]
    matches_CM = features.prepare_candidates(side, np.array([[5, 9]])).matches_BCM[0]
    assert matches_CM.shape[-1] == MATCH_FEATURES + 2 * EVENT_MATCH_FEATURES
    times, minutes = matches_CM[0, MATCH_FEATURES : MATCH_FEATURES + 2].tolist()
    assert (times, minutes) == (1.0, pytest.approx(np.log2(61)))
    assert matches_CM[1, MATCH_FEATURES] == 0


def test_feedback_denoises_unclicked_impressions() -> None:
    """The denoised interest depends on the feedback, and is 0 without feedback."""
    ranker = new_ranker("session_domains")
    network = network_of(ranker)
    assert isinstance(network, SessionDomains) and len(network.denoising_groups) == 2
    left = sequence([[(track, LEFT_ALONE, NOW - 90 * MINUTE) for track in range(4, 12)]], 16)
    dislike = behaviors.load_behaviors().encoder["dislike"]
    found = []
    for row in ([], [(5, LISTEN, NOW - MINUTE)], [(6, LISTEN, NOW - MINUTE)], [(6, dislike, NOW - MINUTE)]):
        users = user_batch([row], length=16)
        users.views["played_history"] = user_batch([[event for event in row if event[1] == LISTEN]], 16).views[
            "played_history"
        ]
        users.views[UNCLICKED_IMPRESSIONS] = left
        side = ranker.features.prepare_users(users)
        items = as_tensors(ranker.features.prepare_candidates(side, np.arange(2, 20)[None]))
        with torch.no_grad():
            state = network.encode_user(as_tensors(side.inputs))
            interest = network.interest(state, network.embedding.embed_tracks(items.track_BC, items.artist_BC))
        found.append(interest.chunk(len(network.decoders), dim=-1)[-2:])
    assert all(part.abs().max() == 0 for part in found[0])
    (played, no_dislike), (other_played, _), (no_play, disliked) = found[1:]
    assert no_dislike.abs().max() == 0 and no_play.abs().max() == 0
    assert (played - other_played).abs().max() > 1e-4 and disliked.abs().max() > 1e-4
