"""Properties of `interest_evolution`: it reads listened events only and in order, and has an auxiliary loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.inputs import UserInputs
from recommender.ranking.interest_evolution import EvolutionState, sample_positions
from recommender.ranking.ranker import as_tensors
from tests.support.training.ranking_cases import (
    LISTEN,
    MINUTE,
    NOW,
    SKIP,
    Event,
    history,
    network_of,
    new_ranker,
    user_batch,
)

SKIPPED = [(9, SKIP, NOW - (20 - place) * MINUTE) for place in range(12)]
LISTENED = [(track, LISTEN, NOW - (7 - place) * MINUTE) for place, track in enumerate((5, 6, 5, 8))]


@pytest.fixture
def loaded() -> FittedRanker:
    """A ranker in evaluation mode, without dropout."""
    return new_ranker("interest_evolution")


def encoded(loaded: FittedRanker, rows: list[list[Event]], length: int = 30) -> tuple[UserInputs, EvolutionState]:
    """Return the user inputs and their state."""
    users = as_tensors(loaded.features.prepare_users(user_batch(rows, length)).inputs)
    return users, network_of(loaded).encode_user(users)


def interest(loaded: FittedRanker, row: list[Event], length: int = 30) -> torch.Tensor:
    """Return the interest of one user in some candidates [C, D]."""
    _, state = encoded(loaded, [row], length)
    with torch.no_grad():
        item = network_of(loaded).embedding.embed_tracks(torch.tensor([[5, 6, 20]]), torch.tensor([[3, 4, 5]]))
        return network_of(loaded).interest(state, item)[0]


def test_skipped_events_take_no_step_and_do_not_change_the_interest(loaded: FittedRanker) -> None:
    _, state = encoded(loaded, [[*SKIPPED, *LISTENED], SKIPPED])
    assert state.interest_PBD.shape[:2] == (len(LISTENED), 2) and state.valid_PB.sum(0).tolist() == [len(LISTENED), 0]
    torch.testing.assert_close(interest(loaded, [*SKIPPED, *LISTENED]), interest(loaded, LISTENED, length=4))
    assert interest(loaded, SKIPPED).abs().sum() == 0


def test_the_auxiliary_loss_equals_a_loop_over_users(loaded: FittedRanker) -> None:
    rows = [history(12, seed) for seed in range(6)] + [[], SKIPPED, LISTENED[:1], LISTENED]
    users, state = encoded(loaded, rows)
    network = network_of(loaded)
    torch.manual_seed(4)
    found = float(network.auxiliary_loss(state, users))
    torch.manual_seed(4)
    sampled = sample_positions(state.valid_PB)
    listened = [[event[0] for event in row if event[1] == LISTEN] for row in rows]
    vector = {
        track: network.embedding.embed_tracks(torch.tensor(track), torch.tensor(artist))
        for track, artist in enumerate(loaded.features.artist_of_track_V)
    }
    losses, same = [], 0
    for b, tracks in enumerate(listened):
        for p in range(1, len(tracks)):
            from_p, from_b = divmod(int(sampled[p, b]), len(rows))
            other = listened[from_b][from_p]
            if other == tracks[p]:
                same += 1
                continue
            state_D = state.interest_PBD[p - 1, b]
            logits = torch.stack([state_D @ vector[tracks[p]], -(state_D @ vector[other])])
            losses.append(-float(torch.nn.functional.logsigmoid(logits).sum().detach()))
    assert same and found == pytest.approx(np.mean(losses), rel=1e-4)
