"""Sparse AdamW against dense Adam."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from training.engine.trainer import clip_gradients
from training.nn.optimizer import SparseAdamW

RATE = 0.01


def table(is_sparse: bool, rows: int = 6) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(rows, 3, sparse=is_sparse)


def train(embedding: nn.Embedding, optimizer: torch.optim.Optimizer, steps: list[list[int]]) -> None:
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


def test_full_lookups_equal_adam_without_first_moment() -> None:
    every_row = [[0, 1, 2, 3, 4, 5, 2, 2]] * 20
    by_rows, dense = table(True), table(False)
    train(by_rows, adam(by_rows, SparseAdamW), every_row)
    train(dense, adam(dense, torch.optim.AdamW, first=0.0), every_row)
    torch.testing.assert_close(by_rows.weight, dense.weight)


def test_other_rows_do_not_change() -> None:
    by_rows = table(True)
    before = by_rows.weight.detach().clone()
    train(by_rows, adam(by_rows, SparseAdamW), [[1, 4], [4, 4], [1, 1]])
    assert torch.equal(by_rows.weight[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    assert not torch.isclose(by_rows.weight[[1, 4]], before[[1, 4]]).any()


def test_dense_parameters_equal_adamw() -> None:
    ours, theirs = table(False), table(False)
    steps = [[0, 1], [2], [5, 5]]
    train(ours, SparseAdamW(ours.parameters(), lr=RATE, weight_decay=0.1), steps)
    train(theirs, torch.optim.AdamW(theirs.parameters(), lr=RATE, weight_decay=0.1), steps)
    assert torch.equal(ours.weight, theirs.weight)


def test_state_can_be_resumed() -> None:
    whole, first = table(True), table(True)
    steps = [[1, 4], [4, 4], [1, 1], [2, 1]]
    train(whole, adam(whole, SparseAdamW), steps)
    optimizer = adam(first, SparseAdamW)
    train(first, optimizer, steps[:2])
    second = table(True)
    second.load_state_dict(first.state_dict())
    resumed = adam(second, SparseAdamW)
    resumed.load_state_dict(optimizer.state_dict())
    train(second, resumed, steps[2:])
    assert torch.equal(second.weight, whole.weight)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_sparse_gradients_are_clipped_with_dense_ones(scale: float) -> None:
    def parameters(is_sparse: bool) -> list[Tensor]:
        embedding, linear = table(is_sparse), nn.Linear(3, 2)
        nn.init.ones_(linear.weight)
        (scale * linear(embedding(torch.tensor([1, 1, 4])))).sum().backward()
        if is_sparse:
            clip_gradients([*embedding.parameters(), *linear.parameters()])
        else:
            nn.utils.clip_grad_norm_([*embedding.parameters(), *linear.parameters()], 1.0)
        return [
            tensor.grad.to_dense()
            for tensor in (embedding.weight, linear.weight, linear.bias)
            if tensor.grad is not None
        ]

    for ours, theirs in zip(parameters(True), parameters(False), strict=True):
        torch.testing.assert_close(ours, theirs)
