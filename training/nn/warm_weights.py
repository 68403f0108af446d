"""Copies the weights of a fitted network into a new one whose vocabulary has grown.

Rows of tracks, artists and facet values are matched by track id, because codes are in the order of plays and move every day.
Rows of new ids keep their initial values, and so do parameters of another shape.

Legend: V new vocabulary, W old vocabulary, R rows of the new table, F facet columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sequences.sequence_batch import FIRST_CODE
from training.data.vocabulary import Vocabulary
from training.nn.item_tower import ItemTower
from training.nn.ranker_layers import FrequencyCutEmbedding

NO_ROW = -1


@torch.no_grad()
def copy_weights(network: nn.Module, stored: Mapping[str, Tensor], before: Vocabulary, now: Vocabulary) -> None:
    """Copy parameters by name, and rows of ids by id. Buffers (codes, statistics of the data) stay as they are.

    Args:
        network: The new network.
        stored: State dict of the fitted network.
        before: Vocabulary of the fitted network.
        now: Vocabulary of the new network.
    """
    track_V = torch.from_numpy(_old_codes(before.track_code, now.track_ids_V.tolist()))
    artist_V = torch.from_numpy(_old_codes(before.artist_code, now.artist_ids_A.tolist()))
    old_row_of: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, ItemTower):
            codes = module.codes
            pairs = {"track": codes.track_V, "artist": codes.artist_V}
            for table, row_V in pairs.items():
                old_row_W = stored[f"{prefix}codes.{table}_V"]
                old_row_of[f"{prefix}{table}.weight"] = _match_rows(row_V, old_row_W, track_V)
            facet_VF, old_facet_WF = codes.facet_VF, stored[f"{prefix}codes.facet_VF"]
            old_row_of[f"{prefix}facet.weight"] = _match_facets(facet_VF, old_facet_WF, track_V)
        elif isinstance(module, FrequencyCutEmbedding):
            code_V = artist_V if name.endswith("artist") else track_V
            row_V, old_row_W = module.row_of_V.long(), stored[f"{prefix}row_of_V"].long()
            old_row_of[f"{prefix}table.weight"] = _match_rows(row_V, old_row_W, code_V)
    for name, parameter in network.named_parameters():
        if name not in stored:
            continue
        old = stored[name].to(parameter.dtype)
        if name in old_row_of:
            row_R = old_row_of[name][: len(parameter)]
            is_known_R = row_R >= 0
            parameter[: len(row_R)][is_known_R] = old[row_R[is_known_R]]
        elif old.shape == parameter.shape:
            parameter.copy_(old)


def _old_codes(code_of: Mapping[str, int], ids: Sequence[str]) -> np.ndarray:
    """Old code of each new code; reserved codes keep theirs, a new id has none."""
    codes = [*range(FIRST_CODE), *(code_of.get(name, NO_ROW) for name in ids[FIRST_CODE:])]
    return np.array(codes[: len(ids)], dtype=np.int64)


def _match_rows(row_V: Tensor, old_row_W: Tensor, old_code_V: Tensor) -> Tensor:
    """Old row of each row of a new table, by the codes that refer to both. A row of its own that was a shared one starts there."""
    old_row_R = torch.full((int(row_V.max()) + 1,), NO_ROW)
    is_known_V = old_code_V >= 0
    old_row_R[row_V[is_known_V]] = old_row_W[old_code_V[is_known_V]]
    shared = min(FIRST_CODE, len(old_row_R))
    old_row_R[:shared] = torch.arange(shared)
    return old_row_R


def _match_facets(facet_VF: Tensor, old_facet_WF: Tensor, old_code_V: Tensor) -> Tensor:
    """Old row of each facet row, from tracks that have equally many facet values in both vocabularies."""
    old_row_R = torch.full((int(facet_VF.max()) + 1 if facet_VF.numel() else 1,), NO_ROW)
    old_row_R[0] = 0
    is_known_V = old_code_V >= 0
    new_VF, old_VF = facet_VF[is_known_V], old_facet_WF[old_code_V[is_known_V]]
    is_equal_V = (new_VF > 0).sum(1) == (old_VF > 0).sum(1)
    new_VF, old_VF = new_VF[is_equal_V], old_VF[is_equal_V]
    # Selected in the same order: track by track, and facet by facet within a track.
    old_row_R[new_VF[new_VF > 0]] = old_VF[old_VF > 0]
    return old_row_R
