"""The item tower against the plain sum."""

from __future__ import annotations

import torch

from training.nn.item_tower import ItemCodes, ItemTower


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
    torch.testing.assert_close(without.facet_embedding(items), torch.zeros(2, 3, 6))


def described_codes() -> ItemCodes:
    """Items 2 and 3 have content; 4 has none and 5, of the same artist as 3, nothing but content."""
    rows = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.float16)
    return ItemCodes(
        torch.tensor([0, 1, 2, 3, 4, 1]),
        torch.tensor([0, 1, 2, 3, 2, 3]),
        torch.zeros((6, 0), dtype=torch.long),
        torch.tensor([0, 0, 1, 2, 0, 3]),
        rows,
        torch.tensor([False, False, False, False, False, True]),
    )


def test_content_adds_its_projection_and_nothing_where_there_is_none() -> None:
    torch.manual_seed(0)
    tower = ItemTower(described_codes(), 4).eval()
    ids = tower.track.weight[[1, 2, 3, 4, 1]] + tower.artist.weight[[1, 2, 3, 2, 3]]
    content = tower.content.weight.T
    expected = ids + torch.stack([torch.zeros(4), content[0], content[1], torch.zeros(4), content[0] + content[1]])
    torch.testing.assert_close(tower(torch.tensor([1, 2, 3, 4, 5])), expected)


def test_a_cold_track_is_one_without_ids() -> None:
    torch.manual_seed(0)
    tower = ItemTower(described_codes(), 4).eval()
    unknown = tower.track.weight[1] + tower.artist.weight[1]
    expected = torch.stack([unknown + tower.content.weight[:, 0], unknown + tower.content.weight[:, 1], unknown])
    torch.testing.assert_close(tower(torch.tensor([2, 3, 4]), as_cold=True), expected)


def test_in_training_a_share_of_the_tracks_with_content_is_taken_for_cold_everywhere_alike() -> None:
    torch.manual_seed(0)
    tower = ItemTower(described_codes(), 4, id_dropout=0.4).train()
    items = torch.tensor([[2, 4], [2, 3]])
    own = tower.track.weight[2] + tower.artist.weight[2]
    half = tower.track.weight[1] + tower.artist.weight[2]
    none = tower.track.weight[1] + tower.artist.weight[1]
    seen = {"own": 0, "half": 0, "none": 0}
    for _ in range(600):
        vector = tower(items)
        torch.testing.assert_close(vector[0, 0], vector[1, 0])
        torch.testing.assert_close(vector[0, 1], tower.track.weight[4] + tower.artist.weight[2])
        ids = vector[0, 0] - tower.content.weight[:, 0]
        (kind,) = [
            name for name, one in (("own", own), ("half", half), ("none", none)) if torch.allclose(ids, one, atol=1e-6)
        ]
        seen[kind] += 1
    assert 300 < seen["own"] < 420 and 70 < seen["half"] < 170 and 70 < seen["none"] < 170


def test_without_content_nothing_is_drawn_and_nothing_more_is_saved() -> None:
    full = described_codes()
    tower = ItemTower(ItemCodes(full.track_V, full.artist_V, full.facet_VF), 4, id_dropout=0.9).train()
    before = torch.get_rng_state()
    torch.testing.assert_close(tower(torch.tensor([2])), tower.track.weight[[2]] + tower.artist.weight[[2]])
    assert torch.equal(before, torch.get_rng_state())
    names = {"codes.track_V", "codes.artist_V", "codes.facet_VF", "track.weight", "artist.weight", "facet.weight"}
    assert set(tower.state_dict()) == names


def test_codes_are_read_from_what_was_saved() -> None:
    saved = {f"items.codes.{name}": buffer for name, buffer in described_codes().state_dict().items()}
    read = ItemCodes.from_state_dict(saved | {"items.track.weight": torch.zeros(1)}, "items.codes.")
    for name, buffer in described_codes().state_dict().items():
        assert torch.equal(read.state_dict()[name], buffer)
