"""Index, merging and loss, compared with loops."""

import numpy as np
import pytest
import torch

from recommender.nn.user_tower import GAP_BOUNDS, UserTowerProgram
from recommender.recall.sequence_merge import interleave, merge_clicks
from recommender.user.user_batch import UserBatch
from tests.support.sequences.batches import batch_of
from training.networks.user_tower import UserTower
from training.recall.windows import logq_correction, sampled_softmax


@pytest.mark.parametrize(
    ("first", "second", "share", "expected"),
    [
        ([1, 2, 3, 4], [11, 2, 13, 14], 0.5, [1, 11, 2, 3]),
        ([1, 2, 3, 4], [11, 2, 13, 14], 0.0, [1, 2, 3, 4]),
        ([1, 0], [0, 0], 0.5, [1, 0, 0, 0]),
    ],
)
def test_interleave_gives_each_list_its_share(
    first: list[int], second: list[int], share: float, expected: list[int]
) -> None:
    assert interleave(np.array([first]), np.array([second]), share, 4).tolist() == [expected]


def test_older_clicks_come_first_and_newer_ones_are_not_duplicated() -> None:
    names = "behavior track_id occurred_at ended_at"
    recent = batch_of(names, [("play", 10, 99, 100), ("play", 11, 129, 130)], length=4)
    clicks = batch_of(names, [("play", 7, 49, 50), ("play", 8, 59, 60), ("play", 11, 129, 130)], length=4)
    merged = merge_clicks(UserBatch(["u"], np.array([200]), {"recent_events": recent, "recent_clicks": clicks}), 3)
    assert [merged.columns[name].tolist() for name in ("track_id", "gap")] == [[[8, 10, 11]], [[0, 39, 29]]]
    assert merged.length_B.tolist() == [3]


def test_sampled_softmax_over_all_items_equals_full_softmax() -> None:
    """With every item sampled exactly once, the correction is zero."""
    generator = torch.Generator().manual_seed(1)
    items, query = torch.randn(6, 3, generator=generator), torch.randn(2, 3, generator=generator)
    positive = torch.tensor([4, 0])
    log_draws = logq_correction(torch.zeros(6), torch.ones(6, dtype=torch.bool), 0, 6)
    loss = sampled_softmax(
        query, items[positive], items, positive, torch.arange(6), logq_V=log_draws, scale=torch.tensor(2.0)
    )
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(2.0 * query @ items.T, positive))


def test_loss_is_zero_if_all_negatives_are_accidental_hits() -> None:
    items = torch.ones(2, 3, requires_grad=True)
    one = torch.tensor([1])
    loss = sampled_softmax(items[one], items[one], items[one], one, one, logq_V=torch.zeros(2), scale=torch.ones(()))
    (slope,) = torch.autograd.grad(loss, items)
    assert loss == 0
    assert torch.equal(slope, torch.zeros(2, 3))


def test_last_state_equals_last_of_all_states() -> None:
    torch.manual_seed(0)
    tower = UserTower(16, 9, layers=2, heads=2, dropout=0.1).eval()
    items, codes, gaps = torch.randn(4, 9, 16), torch.randint(0, 5, (4, 9)), torch.randint(0, 9, (4, 9))
    length = torch.tensor([9, 3, 1, 5])
    states = tower(items, codes, gaps, torch.arange(4).repeat_interleave(9), torch.arange(9).repeat(4))
    expected = states.view(4, 9, -1)[torch.arange(4), length - 1]
    weights = {name: tensor.numpy() for name, tensor in tower.state_dict().items()}
    program, gap_bounds = UserTowerProgram(weights, layers=2, heads=2), GAP_BOUNDS[gaps.numpy()]
    for row, count in enumerate(length.tolist()):
        events = items[row].numpy(), codes[row].numpy(), gap_bounds[row]
        found = program.last_state(*(column[:count] for column in events))
        torch.testing.assert_close(torch.from_numpy(found[0]), expected[row], rtol=1e-5, atol=2e-6)
