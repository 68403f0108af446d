"""The item tower against plain sums."""

from __future__ import annotations

import torch

from training.networks.item_tower import ItemCodes, ItemTower


def test_vectors_are_id_plus_artist_plus_mean_of_facets() -> None:
    torch.manual_seed(0)
    facets = torch.tensor([[0, 0, 0], [0, 0, 0], [1, 0, 4], [0, 2, 0], [3, 3, 0]])
    codes = ItemCodes(torch.tensor([0, 1, 2, 1, 3]), torch.tensor([0, 1, 2, 2, 1]), facets)
    tower = ItemTower(codes, 6)
    items = torch.tensor([[2, 0, 3], [4, 1, 2]])
    mean_VD = torch.stack([tower.facet.weight[row[row > 0]].sum(0) / max(int((row > 0).sum()), 1) for row in facets])
    expected_VD = tower.track.weight[codes.track_V] + tower.artist.weight[codes.artist_V] + mean_VD
    torch.testing.assert_close(tower(items), expected_VD[items])
    assert tower(torch.zeros((0, 3), dtype=torch.long)).shape == (0, 3, 6)
    without = ItemCodes(codes.track_V, codes.artist_V, facets[:, :0])
    torch.testing.assert_close(ItemTower(without, 6).facet_embedding(items), torch.zeros(2, 3, 6))


def codes_with_content() -> ItemCodes:
    """Items 2 and 3 have content, 4 has none, and 5, by the artist of 3, is cold with content."""
    return ItemCodes(
        torch.tensor([0, 1, 2, 3, 4, 1]),
        torch.tensor([0, 1, 2, 3, 2, 3]),
        torch.zeros((6, 0), dtype=torch.long),
        torch.tensor([0, 0, 1, 2, 0, 3]),
        torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.float16),
        torch.tensor([False, False, False, False, False, True]),
        torch.tensor([2, 4]),
    )


def test_cold_vectors_use_the_rare_rows() -> None:
    torch.manual_seed(0)
    tower = ItemTower(codes_with_content(), 4).eval()
    unknown = tower.track.weight[1] + tower.artist.weight[1]
    expected = unknown + tower.content(torch.tensor([[1.0, 0], [0, 1], [0, 0]]))
    torch.testing.assert_close(tower(torch.tensor([2, 3, 4]), as_cold=True), expected)
