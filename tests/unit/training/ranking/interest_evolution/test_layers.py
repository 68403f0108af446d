"""AUGRU, candidate attention and next-event loss compared with one event and one candidate at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.ranking.interest_evolution.layers import (
    AUGRU,
    CandidateAttention,
    gather_positions,
    left_align_positions,
    next_event_loss,
    sample_positions,
)

P, B, C, D = 5, 3, 4, 3


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def by_hand(layer: AUGRU, events_PD: np.ndarray, scale_P: np.ndarray) -> list[np.ndarray]:
    """Return the states of one user and candidate, by the formulas of the paper."""
    input_u, input_r, input_n = (weight.detach().numpy().T for weight in layer.input_3DD)
    state_n, state_u, state_r = (weight.detach().numpy().T for weight in layer.state_3DD)
    bias_u, bias_r, bias_n = (bias.detach().numpy()[0] for bias in layer.bias_31D)
    state, states = np.zeros(events_PD.shape[1]), []
    for event, scale in zip(events_PD, scale_P, strict=True):
        update = sigmoid(input_u @ event + state_u @ state + bias_u)
        reset = sigmoid(input_r @ event + state_r @ state + bias_r)
        new = np.tanh(input_n @ event + reset * (state_n @ state) + bias_n)
        update = scale * update
        state = (1 - update) * state + update * new
        states.append(state)
    return states


@pytest.fixture
def layer() -> AUGRU:
    """An AUGRU with random weights and biases, large enough that no gate stays near one half."""
    torch.manual_seed(0)
    made = AUGRU(D).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Events of each user, and a scale for each candidate."""
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(P, B, D, generator=generator, dtype=torch.double),
        torch.rand(P, B, C, generator=generator, dtype=torch.double),
    )


@pytest.mark.parametrize("learns", [True, False])
def test_states_equal_the_formula(layer: AUGRU, inputs: tuple[torch.Tensor, torch.Tensor], learns: bool) -> None:
    events, scale = inputs
    with torch.set_grad_enabled(learns):
        states, last = layer.states(events, scale).detach(), layer.last_state(events, scale).detach()
    assert states.shape == (P, B, C, D)
    for b in range(B):
        for c in range(C):
            expected = by_hand(layer, events[:, b].numpy(), scale[:, b, c].numpy())
            np.testing.assert_allclose(states[:, b, c], expected, rtol=1e-10)
            np.testing.assert_allclose(last[b, c], expected[-1], rtol=1e-10)


@pytest.mark.parametrize("what", ["states", "last_state"])
def test_the_gradient_equals_finite_differences(
    layer: AUGRU, inputs: tuple[torch.Tensor, torch.Tensor], what: str
) -> None:
    events, scale = (values.requires_grad_() for values in inputs)
    weights = tuple(layer.parameters())
    assert torch.autograd.gradcheck(lambda e, s, *_: getattr(layer, what)(e, s), (events, scale, *weights))
    constant = scale[:, :, :1].detach()  # plain GRU: one candidate, and no gradient of the scale
    assert torch.autograd.gradcheck(lambda e, *_: getattr(layer, what)(e, constant), (events, *weights))


@pytest.mark.parametrize("learns", [True, False])
def test_a_scale_of_zero_skips_an_event(layer: AUGRU, inputs: tuple[torch.Tensor, torch.Tensor], learns: bool) -> None:
    events, scale = inputs
    padding = torch.full((4, B, D), 1e3, dtype=torch.double)
    padded, nothing = torch.cat([events, padding]), torch.zeros(4, B, C, dtype=torch.double)
    with torch.set_grad_enabled(learns):
        short, long = layer.states(events, scale), layer.states(padded, torch.cat([scale, nothing]))
        torch.testing.assert_close(long, torch.cat([short, short[-1:].expand(4, -1, -1, -1)]), rtol=0, atol=0)
        last = layer.last_state(padded, torch.cat([scale, nothing]))
    torch.testing.assert_close(last, short[-1], rtol=0, atol=0)


@pytest.mark.parametrize("learns", [True, False])
def test_without_events_the_state_is_zero(layer: AUGRU, learns: bool) -> None:
    events, scale = torch.zeros(0, B, D, dtype=torch.double), torch.zeros(0, B, C, dtype=torch.double)
    with torch.set_grad_enabled(learns):
        last = layer.last_state(events, scale)
        assert layer.states(events, scale).shape == (0, B, C, D)
        assert last.shape == (B, C, D) and last.abs().sum() == 0
    if learns:
        last.sum().backward()


def test_masked_in_events_are_left_aligned_in_order() -> None:
    mask = torch.tensor([[False, True, False, True, True], [True, False, False, False, False], [False] * 5])
    position, valid = left_align_positions(mask)
    assert valid.T.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert [row[keep].tolist() for row, keep in zip(position.T, valid.T, strict=True)] == [[1, 3, 4], [0], []]
    values = torch.arange(3 * 5 * 2).view(3, 5, 2)
    found = gather_positions(values, position)
    assert found[:, 0].tolist() == values[0, [1, 3, 4]].tolist() and found[0, 1].tolist() == values[1, 0].tolist()
    assert left_align_positions(mask[2:])[0].shape == (0, 1) and left_align_positions(mask[:0])[0].shape == (0, 0)


def test_attention_is_a_softmax_over_the_valid_events() -> None:
    layer = CandidateAttention(D)
    events, items = torch.randn(P, B, D, requires_grad=True), torch.randn(B, C, D)
    valid = torch.arange(P)[:, None] < torch.tensor([P, 2, 0])
    weights = layer(items, events, valid)
    for b in range(B):
        for c in range(C):
            scores = [
                float(items[b, c] @ layer.bilinear_DD.detach() @ events.detach()[p, b]) for p in range(P) if valid[p, b]
            ]
            total = sum(np.exp(scores))
            expected = [*(np.exp(score) / total for score in scores), *[0] * (P - len(scores))]
            np.testing.assert_allclose(weights[:, b, c].detach(), expected, rtol=1e-5)
    (weights * torch.randn(P, B, C)).sum().backward()
    assert events.grad is not None and torch.isfinite(events.grad).all() and events.grad[:, 2].abs().sum() == 0


def test_next_event_loss_is_the_mean_over_used_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    states, tracks, others = torch.randn(3, P, B, D, generator=generator)
    counts = torch.rand(P, B, generator=generator) < 0.6
    losses = []
    for b in range(B):
        for p in range(1, P):
            if counts[p, b]:
                state = states[p - 1, b].numpy()
                true, false = sigmoid(state @ tracks[p, b].numpy()), sigmoid(state @ others[p, b].numpy())
                losses.append(-np.log(true) - np.log(1 - false))
    assert 1 < len(losses) < B * (P - 1)
    assert float(next_event_loss(states, tracks, others, counts)) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(next_event_loss(states, tracks, others, torch.zeros(P, B, dtype=torch.bool))) == 0
    assert float(next_event_loss(states[:0], tracks[:0], others[:0], counts[:0])) == 0


def test_positions_are_sampled_among_valid_ones() -> None:
    torch.manual_seed(0)
    valid = torch.tensor([[True, False, True], [False, False, True]])
    sampled = torch.stack([sample_positions(valid) for _ in range(200)])
    assert sampled.shape == (200, 2, 3) and set(sampled.flatten().tolist()) == {0, 2, 5}
    assert sample_positions(valid & False).tolist() == [[0] * 3] * 2
