"""The optimizer of tables: dense Adam is the oracle."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from training.engine.trainer import clip_gradients
from training.nn.sparse_adamw import SparseAdamW

RATE = 0.01


def table(is_sparse: bool, rows: int = 6) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(rows, 3, sparse=is_sparse)


def learn(embedding: nn.Embedding, optimizer: torch.optim.Optimizer, steps: list[list[int]]) -> None:
    goal = torch.arange(18.0).view(6, 3).sin()
    for rows in steps:
        optimizer.zero_grad()
        looked_up = torch.tensor(rows)
        ((embedding(looked_up) - goal[looked_up]) ** 2).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def adam(
    embedding: nn.Embedding, kind: Callable[..., torch.optim.Optimizer], first: float = 0.9
) -> torch.optim.Optimizer:
    return kind(embedding.parameters(), lr=RATE, betas=(first, 0.999), weight_decay=0.0)


def test_a_table_that_is_all_looked_up_learns_as_by_adam_without_a_first_moment() -> None:
    every_row = [[0, 1, 2, 3, 4, 5, 2, 2]] * 20
    by_rows, dense = table(True), table(False)
    learn(by_rows, adam(by_rows, SparseAdamW), every_row)
    learn(dense, adam(dense, torch.optim.AdamW, first=0.0), every_row)
    torch.testing.assert_close(by_rows.weight, dense.weight)


def test_rows_that_nobody_looked_up_stay() -> None:
    by_rows = table(True)
    before = by_rows.weight.detach().clone()
    learn(by_rows, adam(by_rows, SparseAdamW), [[1, 4], [4, 4], [1, 1]])
    assert torch.equal(by_rows.weight[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    assert not torch.isclose(by_rows.weight[[1, 4]], before[[1, 4]]).any()


def test_a_rare_row_moves_as_far_as_dense_adam_takes_it_in_the_steps_after() -> None:
    once_in_the_middle = [[0]] * 200 + [[0, 3]] + [[0]] * 100
    moved = []
    for is_sparse, kind in ((True, SparseAdamW), (False, torch.optim.AdamW)):
        embedding = table(is_sparse)
        before = embedding.weight[3].detach().clone()
        learn(embedding, adam(embedding, kind), once_in_the_middle)
        moved.append(embedding.weight[3].detach() - before)
    torch.testing.assert_close(moved[0], moved[1], rtol=0.05, atol=0)


def test_a_dense_parameter_learns_as_by_adamw() -> None:
    ours, theirs = table(False), table(False)
    steps = [[0, 1], [2], [5, 5]]
    learn(ours, SparseAdamW(ours.parameters(), lr=RATE, weight_decay=0.1), steps)
    learn(theirs, torch.optim.AdamW(theirs.parameters(), lr=RATE, weight_decay=0.1), steps)
    assert torch.equal(ours.weight, theirs.weight)


def test_decay_of_a_table_that_learns_by_rows_is_refused() -> None:
    by_rows = table(True)
    with pytest.raises(ValueError, match=r"weight_decay=0\.1"):
        learn(by_rows, SparseAdamW(by_rows.parameters(), lr=RATE, weight_decay=0.1), [[1]])


def test_a_fit_goes_on_from_its_state() -> None:
    whole, first = table(True), table(True)
    steps = [[1, 4], [4, 4], [1, 1], [2, 1]]
    learn(whole, adam(whole, SparseAdamW), steps)
    optimizer = adam(first, SparseAdamW)
    learn(first, optimizer, steps[:2])
    second = table(True)
    second.load_state_dict(first.state_dict())
    went_on = adam(second, SparseAdamW)
    went_on.load_state_dict(optimizer.state_dict())
    learn(second, went_on, steps[2:])
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_sparse_gradients_are_clipped_with_the_rest(scale: float) -> None:
    def parameters(is_sparse: bool) -> list[Tensor]:
        embedding, linear = table(is_sparse), nn.Linear(3, 2)
        nn.init.ones_(linear.weight)
        (scale * linear(embedding(torch.tensor([1, 1, 4])))).sum().backward()
        if is_sparse:
            clip_gradients([*embedding.parameters(), *linear.parameters()])
        else:
            nn.utils.clip_grad_norm_([*embedding.parameters(), *linear.parameters()], 1.0)
        return [one.grad.to_dense() for one in (embedding.weight, linear.weight, linear.bias) if one.grad is not None]

    for ours, theirs in zip(parameters(True), parameters(False), strict=True):
        torch.testing.assert_close(ours, theirs)
