"""The table of piecewise linear encodings gives the products of the encodings with the weights."""

from __future__ import annotations

import torch

from recommender.nn.piecewise_table import PiecewiseTable
from recommender.nn.ranker_layers import PiecewiseLinear


def fitted_encoding(rows: torch.Tensor, pieces: int = 6) -> PiecewiseLinear:
    encoding = PiecewiseLinear(rows.shape[1], pieces)
    encoding.fit_quantiles(rows)
    return encoding


def test_products_equal_those_of_the_encodings() -> None:
    torch.manual_seed(0)
    rows = torch.randn(500, 5) * torch.tensor([1.0, 10.0, 0.1, 1.0, 1.0])
    rows[:, 3] = rows[:, 3].clamp(min=0)  # half of the quantiles are equal, so pieces overlap
    rows[:, 4] = 7.0  # all quantiles are equal
    encodings = [fitted_encoding(rows[:, :2]), fitted_encoding(rows[:, 2:])]
    weight = torch.randn(9, sum(encoding.width for encoding in encodings))
    outside = torch.tensor([[-1e6], [1e6], [0.0], [7.0], [7.0005]]).expand(-1, 5)
    # Quantiles themselves, too: a number at a breakpoint.
    edges = torch.cat([encoding.lower_FK for encoding in encodings]).T
    x = torch.cat([rows, outside, edges])
    expected = torch.cat([encodings[0](x[:, :2]), encodings[1](x[:, 2:])], dim=1) @ weight.T
    found = torch.from_numpy(PiecewiseTable.of(encodings, weight)(x.numpy()))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
