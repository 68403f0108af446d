"""The content tower: blocks, missing content, modality dropout."""

from __future__ import annotations

import torch

from training.nn.item_tower import ContentTower

BLOCK_W = torch.tensor([1, 1, 3, 3, 3])


def tower(modality_dropout: float = 0.0) -> ContentTower:
    """A tower with random weights."""
    torch.manual_seed(0)
    return ContentTower(BLOCK_W, 4, modality_dropout)


def test_missing_content_adds_nothing() -> None:
    vector = tower()(torch.tensor([[0.0] * 5, [1, 0, 0, 1, 0]]))
    assert not vector[0].any() and vector[1].all()


def test_training_drops_whole_blocks_at_the_given_rate() -> None:
    made = tower(0.4).train()
    row = torch.tensor([0.6, 0.8, 0.0, 1.0, 0.0])
    first, second = row * (BLOCK_W == 1), row * (BLOCK_W == 3)
    with torch.no_grad():
        vector = made(row.expand(4000, 5))
        kinds = {"both": row, "first": first, "second": second, "none": torch.zeros(5)}
        expected = {name: made.eval()(kind) for name, kind in kinds.items()}
    share = {name: float(torch.isclose(vector, one, atol=1e-6).all(1).float().mean()) for name, one in expected.items()}
    assert abs(sum(share.values()) - 1) < 1e-6
    assert abs(share["both"] - 0.36) < 0.04 and abs(share["none"] - 0.16) < 0.04
    assert abs(share["first"] - 0.24) < 0.04 and abs(share["second"] - 0.24) < 0.04
