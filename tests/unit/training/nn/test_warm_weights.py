"""Weights are copied by id: a new vocabulary has other codes, other rows and more tracks."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from training.data.vocabulary import Vocabulary
from training.nn.item_tower import ItemCodes, ItemTower
from training.nn.ranker_layers import FrequencyCutEmbedding
from training.nn.warm_weights import copy_weights

ARTIST_OF = {"a": "P", "b": "Q", "c": "P", "x": "R"}
STYLES_OF = {"a": ["rock"], "b": ["jazz", "folk"], "c": [], "x": ["folk"]}


def vocabulary(tracks: str, artists: str) -> Vocabulary:
    def array(names: str) -> np.ndarray:
        return np.array(["", "", *names], dtype=object)

    artist_codes = [0, 1, *(artists.index(ARTIST_OF[track]) + 2 for track in tracks)]
    return Vocabulary(array(tracks), np.array(artist_codes), array(artists), array(tracks), array(artists))


def tower(of: Vocabulary, rare: str, styles: list[str]) -> ItemTower:
    """A tower in which the tracks in `rare` share a row, and facet values have the order of `styles`."""
    tracks = of.track_ids_V[2:].tolist()
    own = [track for track in tracks if track not in rare]
    track_row = [0, 1, *(own.index(track) + 2 if track in own else 1 for track in tracks)]
    facets = [[styles.index(style) + 1 for style in STYLES_OF[track]] for track in tracks]
    padded = [[0, 0], [0, 0], *([*rows, 0, 0][:2] for rows in facets)]
    codes = ItemCodes(torch.tensor(track_row), torch.from_numpy(of.artist_of_track_V), torch.tensor(padded))
    return ItemTower(codes, 4).eval()


def vectors(tower: ItemTower, of: Vocabulary) -> dict[str, list[float]]:
    vector_VD = tower(torch.arange(len(of))).detach()
    return dict(zip(of.track_ids_V[2:].tolist(), vector_VD[2:].tolist(), strict=True))


def test_vectors_of_known_tracks_stay_and_new_tracks_keep_their_initial_rows() -> None:
    torch.manual_seed(0)
    before, now = vocabulary("abc", "PQ"), vocabulary("cxab", "RQP")
    old, new = tower(before, "c", ["rock", "jazz", "folk"]), tower(now, "", ["folk", "jazz", "rock"])
    initial = new.track.weight.detach().clone()
    copy_weights(new, old.state_dict(), before, now)
    found, expected = vectors(new, now), vectors(old, before)
    # Also c, which gets a row of its own: it starts where the shared row was.
    np.testing.assert_allclose([found[t] for t in "abc"], [expected[t] for t in "abc"], atol=1e-6)
    assert torch.equal(new.track.weight[new.codes.track_V[3]], initial[new.codes.track_V[3]])
    assert torch.equal(new.codes.track_V, tower(now, "", ["folk", "jazz", "rock"]).codes.track_V)


class Network(nn.Module):
    """A part of a ranker."""

    def __init__(self, track_counts: list[int], artist_counts: list[int], width: int = 3) -> None:
        super().__init__()
        self.track = FrequencyCutEmbedding(torch.tensor(track_counts), 4, 2)
        self.artist = FrequencyCutEmbedding(torch.tensor(artist_counts), 4, 2)
        self.output = nn.Linear(4, width)


def test_embeddings_of_a_ranker_follow_their_ids_and_other_shapes_are_left_out() -> None:
    torch.manual_seed(0)
    before, now = vocabulary("abc", "PQ"), vocabulary("cxab", "RQP")
    old, new = Network([0, 0, 5, 4, 3], [0, 0, 8, 4]), Network([0, 0, 9, 8, 7, 1], [0, 0, 9, 8, 7], width=2)
    output = new.output.weight.detach().clone()
    copy_weights(new, old.state_dict(), before, now)
    for track in "ac":  # b is rare now
        assert torch.equal(
            new.track(torch.tensor(now.track_code[track])), old.track(torch.tensor(before.track_code[track]))
        )
    assert torch.equal(new.track(torch.tensor(now.track_code["b"])), old.track(torch.tensor(1)))
    for artist in "PQ":
        assert torch.equal(
            new.artist(torch.tensor(now.artist_code[artist])), old.artist(torch.tensor(before.artist_code[artist]))
        )
    assert torch.equal(new.output.weight, output)
