"""Dropout by bytes."""

from __future__ import annotations

import pytest
import torch

from training.nn.byte_dropout import ByteDropout


def test_a_share_is_dropped_and_the_mean_stays() -> None:
    torch.manual_seed(0)
    dropped = ByteDropout(0.1).train()(torch.ones(1_000_003))
    kept = dropped[dropped > 0]
    # Standard deviations: of the share .0003, of the mean .0003.
    assert (dropped == 0).float().mean() == pytest.approx(26 / 256, abs=0.0015)
    assert dropped.mean() == pytest.approx(1.0, abs=0.0017)
    assert (kept == kept[0]).all()


def test_what_is_dropped_is_independent_of_its_neighbours() -> None:
    torch.manual_seed(0)
    is_out = (ByteDropout(0.5).train()(torch.ones(800_000)) == 0).float().view(-1, 8)
    likeness = torch.corrcoef(torch.cat([is_out[:-1], is_out[1:]], dim=1).T).fill_diagonal_(0).abs()
    assert likeness.max() < 0.02


def test_slopes_pass_where_values_pass() -> None:
    x = torch.ones(7, 5, 3, requires_grad=True)
    torch.manual_seed(0)
    dropped = ByteDropout(0.3).train()(x)
    dropped.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and torch.equal(x.grad, dropped.detach())
    assert 0 < (dropped == 0).sum() < dropped.numel()


def test_the_same_seed_drops_the_same() -> None:
    layer = ByteDropout(0.3).train()
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(layer(torch.ones(64)))
    assert torch.equal(*drawn)


@pytest.mark.parametrize("layer", [ByteDropout(0.3).eval(), ByteDropout(0.0).train()])
def test_nothing_is_dropped_in_service_or_without_a_share(layer: ByteDropout) -> None:
    x = torch.randn(9)
    assert layer(x) is x


def test_almost_all_may_be_dropped() -> None:
    dropped = ByteDropout(0.9999).train()(torch.ones(100_000))
    assert torch.isfinite(dropped).all() and 0 < (dropped > 0).float().mean() < 0.01


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=str(share)):
        ByteDropout(share)
