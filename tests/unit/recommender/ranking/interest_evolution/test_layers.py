"""AUGRU, candidate attention and next-event loss compared with one event and one candidate at a time."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import expit

from recommender.ranking.interest_evolution import (
    AUGRU,
)

P, B, C, D = 5, 3, 4, 3


def by_hand(layer: AUGRU, events_PD: np.ndarray, scale_P: np.ndarray) -> list[np.ndarray]:
    """Return the states of one user and candidate, by the formulas of the paper."""
    input_u, input_r, input_n = (weight.detach().numpy().T for weight in layer.input_3DD)
    state_n, state_u, state_r = (weight.detach().numpy().T for weight in layer.state_3DD)
    bias_u, bias_r, bias_n = (bias.detach().numpy()[0] for bias in layer.bias_31D)
    state, states = np.zeros(events_PD.shape[1]), []
    for event, scale in zip(events_PD, scale_P, strict=True):
        update = expit(input_u @ event + state_u @ state + bias_u)
        reset = expit(input_r @ event + state_r @ state + bias_r)
        new = np.tanh(input_n @ event + reset * (state_n @ state) + bias_n)
        state = (1 - scale * update) * state + scale * update * new
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
    for b, c in product(range(B), range(C)):
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
