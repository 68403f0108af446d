"""Layers against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recommender.nn import ranker_layers
from recommender.nn.ranker_layers import AttentionUnit, Dice, Lookup, PiecewiseLinear
from training.ranking.fit import fit_temperatures, task_losses


@pytest.mark.parametrize("hidden", [(6,), (6, 3)])
@pytest.mark.parametrize(("is_training", "pairs"), [(True, 2000), (False, 2000), (False, 11), (False, 1)])
def test_target_attention_equals_its_formula(
    hidden: tuple[int, ...], is_training: bool, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranker_layers, "PAIR_BATCH_SIZE", pairs)
    torch.manual_seed(0)
    layer = AttentionUnit(4, hidden)
    item, event = torch.randn(3, 3, 4), torch.randn(3, 5, 4)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False], [False] * 5])
    for _ in range(5):
        layer(item, event, mask)
    torch.nn.init.normal_(layer.activation.alpha)
    layer.train(is_training)
    places = [(b, c, n) for b in range(3) for c in range(3) for n in range(5) if mask[b, n]]
    of_pair = [torch.cat([e := item[b, c], a := event[b, n], e - a, e * a]) for b, c, n in places]
    expected = torch.zeros(3, 3, 4)
    for (b, c, n), score in zip(places, layer.rest(layer.activation(layer.first(torch.stack(of_pair)))), strict=True):
        expected[b, c] += score * event[b, n]
    with torch.set_grad_enabled(is_training):
        torch.testing.assert_close(layer(item, event, mask), expected, atol=1e-5, rtol=1e-4)


def test_dice_and_its_gradient_equal_the_formula() -> None:
    torch.manual_seed(0)
    layer, rows = Dice(6), torch.randn(4, 5, 6)
    with torch.no_grad():
        layer.alpha.copy_(torch.randn(6))
    inputs, gradients = rows.clone().requires_grad_(), torch.randn(4, 5, 6)
    outputs = layer(inputs)
    outputs.backward(gradients)
    alpha, x = layer.alpha.detach().clone().requires_grad_(), rows.clone().requires_grad_()
    flat = x.flatten(0, 1)
    normal = (flat - flat.mean(0)) / (flat.var(0, unbiased=False) + layer.normalise.eps).sqrt()
    gate = torch.sigmoid(normal)
    formula = flat * (gate + (1 - gate) * alpha)
    formula.backward(gradients.flatten(0, 1))
    torch.testing.assert_close(outputs.flatten(0, 1), formula)
    torch.testing.assert_close(inputs.grad, x.grad)
    torch.testing.assert_close(layer.alpha.grad, alpha.grad)
    torch.testing.assert_close(layer.normalise.running_mean, 0.1 * flat.mean(0).detach())
    torch.testing.assert_close(layer.normalise.running_var, 0.9 + 0.1 * flat.var(0).detach())


@pytest.mark.parametrize("shape", [(7,), (3, 4), (5, 0)])
def test_lookup_gradient_equals_embedding(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours, torchs = Lookup(6, 3, padding_idx=0), torch.nn.Embedding(6, 3, padding_idx=0)
    torchs.load_state_dict(ours.state_dict())
    rows = torch.randint(0, 6, shape)
    gradients = torch.randn(*shape, 3)
    for layer in (ours, torchs):
        layer(rows).backward(gradients)
    assert torch.equal(ours(rows), torchs(rows))
    torch.testing.assert_close(ours.weight.grad, torchs.weight.grad)


def test_piecewise_encoding_follows_quantiles_and_saturates() -> None:
    layer = PiecewiseLinear(1, 2)
    layer.fit_quantiles(torch.tensor([[0.0], [1.0], [2.0], [6.0], [10.0]]))
    found = layer(torch.tensor([[-5.0], [1.0], [2.0], [4.0], [99.0]]))
    torch.testing.assert_close(found, torch.tensor([[0, 0], [0.5, 0], [1, 0], [1, 0.25], [1, 1]]))


def test_unknown_labels_do_not_contribute_to_the_loss() -> None:
    labels = torch.tensor([[1.0, float("nan")], [0.0, float("nan")]])
    found = task_losses(torch.tensor([[0.0, 3.0], [2.0, -3.0]]), labels)
    np.testing.assert_allclose(found, [(np.log(2) + np.log(1 + np.exp(2))) / 2, 0], rtol=1e-5)


def test_temperatures_are_recovered() -> None:
    generator = torch.Generator().manual_seed(0)
    calibrated = torch.randn(40_000, generator=generator) * 2
    labels = (torch.rand(40_000, generator=generator) < torch.sigmoid(calibrated)).float()
    first, second = fit_temperatures(
        torch.stack([calibrated * 2, calibrated], dim=1), torch.stack([labels, torch.ones_like(labels)], dim=1)
    )
    assert abs(first - 2) < 0.1 and second == 1.0
