"""Sparse AdamW against dense Adam."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from training.trainer import SparseAdamW

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
