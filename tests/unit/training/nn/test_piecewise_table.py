"""The table of piecewise linear encodings gives the products of the encodings with the weights."""

from __future__ import annotations

import pytest
import torch

from training.nn.piecewise_table import PiecewiseTable
from training.nn.ranker_layers import PiecewiseLinear


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
    torch.testing.assert_close(PiecewiseTable.of(encodings, weight)(x), expected, atol=1e-4, rtol=1e-5)


def test_encodings_without_features_add_nothing() -> None:
    torch.manual_seed(0)
    rows = torch.randn(50, 2)
    encodings, weight = [fitted_encoding(rows), PiecewiseLinear(0, 6)], torch.randn(3, 12)
    torch.testing.assert_close(PiecewiseTable.of(encodings, weight)(rows), encodings[0](rows) @ weight.T)


@pytest.mark.parametrize("width", [1, 3])
def test_rows_of_another_width_are_rejected(width: int) -> None:
    table = PiecewiseTable.of([fitted_encoding(torch.randn(50, 2))], torch.randn(3, 12))
    with pytest.raises(
        ValueError, match=f"rows have {width} dense features, the fitted encodings 2; fit the model again"
    ):
        table(torch.randn(4, width))
