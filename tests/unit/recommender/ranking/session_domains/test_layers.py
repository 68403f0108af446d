"""Each layer of the session-domains ranker compared with a direct loop."""

from __future__ import annotations

import math

import numpy as np
import torch

from recommender.ranking.session_domains.layers import (
    Attention,
    SessionPooling,
)

B, C, N, D, HEADS = 3, 4, 5, 8, 2
MASK = torch.tensor([[True, True, False, True, False], [False] * N, [True] * N])


def sequences(seed: int) -> torch.Tensor:
    return torch.randn(B, N, D, generator=torch.Generator().manual_seed(seed))


def test_attention_equals_a_loop() -> None:
    torch.manual_seed(0)
    layer = Attention(D, HEADS)
    item, event, size = torch.randn(B, C, D), sequences(1), D // HEADS
    with torch.no_grad():
        found = layer(item, layer.project_keys_values(event), MASK)
        query, key_value = layer.query(item).numpy(), layer.keys_values(event).numpy()
        expected = np.zeros((B, C, D), np.float32)
        for b in range(B):
            positions = np.flatnonzero(MASK[b])
            for c in range(C):
                for h in range(HEADS if len(positions) else 0):
                    part = slice(h * size, (h + 1) * size)
                    score = [math.exp(query[b, c, part] @ key_value[b, n, part] / math.sqrt(size)) for n in positions]
                    values = [key_value[b, n, D + h * size : D + (h + 1) * size] for n in positions]
                    expected[b, c, part] = sum(s * v for s, v in zip(score, values, strict=True)) / sum(score)
        expected = expected @ layer.output.weight.numpy().T
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_sessions_are_means_of_their_plays_before_self_attention() -> None:
    torch.manual_seed(0)
    layer, seen = SessionPooling(D, 2, HEADS, 0.0).eval(), []
    layer.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    play = sequences(2)
    session = torch.tensor([[3, 2, 2, 1, 0], [0] * N, [1, 1, 1, 1, 1]])
    with torch.no_grad():
        _, mask = layer(play, session)
    (related, _), ago = seen[0], layer.recency_embedding.weight
    assert mask.tolist() == [[True, True], [False, False], [True, False]]
    torch.testing.assert_close(related[0, 0], play[0, 3] + ago[0])
    torch.testing.assert_close(related[0, 1], play[0, 1:3].mean(0) + ago[1])  # the third session is too long ago
    torch.testing.assert_close(related[2, 0], play[2].mean(0) + ago[0])
    assert related[1].abs().max() == 0 and related[2, 1].abs().max() == 0
