"""The item tower against the plain sum."""

from __future__ import annotations

import torch

from training.recall.item_tower import ItemCodes, ItemTower


def test_a_vector_is_own_and_artist_and_the_mean_of_the_facet_values() -> None:
    torch.manual_seed(0)
    facets = torch.tensor([[0, 0, 0], [0, 0, 0], [1, 0, 4], [0, 2, 0], [3, 3, 0]])
    codes = ItemCodes(torch.tensor([0, 1, 2, 1, 3]), torch.tensor([0, 1, 2, 2, 1]), facets)
    tower = ItemTower(codes, 6)
    items = torch.tensor([[2, 0, 3], [4, 1, 2]])
    for row in range(2):
        for column in range(3):
            item = items[row, column]
            values = [tower.facet.weight[value] for value in facets[item] if value > 0]
            expected = tower.track.weight[codes.track_V[item]] + tower.artist.weight[codes.artist_V[item]]
            expected = expected + (torch.stack(values).mean(0) if values else 0)
            torch.testing.assert_close(tower(items)[row, column], expected)
    assert tower(torch.zeros((0, 3), dtype=torch.long)).shape == (0, 3, 6)
    without = ItemTower(ItemCodes(codes.track_V, codes.artist_V, facets[:, :0]), 6)
    torch.testing.assert_close(without.facets(items), torch.zeros(2, 3, 6))
