"""Inputs of a ranker as tensors: user inputs once per request, candidate inputs once per candidate.

`features/ranking_features.py` computes them. Shape letters: B requests, C candidates, L events, U user features,
F candidate features, M match features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class EventInputs:
    """Events of B requests, oldest first, right-padded with zeros: codes of track, artist, behavior, age and played
    ratio.

    `session_BL` numbers sessions from 1, the newest of the sequence; 0 is padding.
    """

    track_BL: Tensor
    artist_BL: Tensor
    behavior_BL: Tensor
    gap_BL: Tensor
    ratio_BL: Tensor
    session_BL: Tensor


@dataclass(frozen=True)
class UserInputs:
    """User inputs, one row per request; recent events oldest first, right-padded with zeros.

    `listened_BL` marks plays that were not skipped. `plays` (further back than the recent events), `explicit_feedback`
    (events that are not plays) and `unclicked_impressions` are None for rankers that do not read them.
    """

    recent: EventInputs
    mask_BL: Tensor
    listened_BL: Tensor
    context_BU: Tensor
    hour_B: Tensor
    weekday_B: Tensor
    scene_B: Tensor
    plays: EventInputs | None = None
    explicit_feedback: EventInputs | None = None
    unclicked_impressions: EventInputs | None = None

    def __len__(self) -> int:
        """Return B."""
        return len(self.hour_B)


@dataclass(frozen=True)
class CandidateInputs:
    """C candidates per request; the values of a candidate never depend on the other candidates.

    `features_BCF` depend on the track alone, `matches_BCM` on its occurrences in the user's histories (M = 0 without
    hard search). `tree_logits_BCT` are the boosted trees' logits; None for rankers without trees.
    """

    track_BC: Tensor
    artist_BC: Tensor
    features_BCF: Tensor
    matches_BCM: Tensor
    tree_logits_BCT: Tensor | None = None


def concatenate_inputs(parts: Sequence[Any]) -> Any:
    """Return several inputs of one class concatenated along B."""
    first = parts[0]
    if first is None or len(parts) == 1:
        return first
    if isinstance(first, Tensor):
        return torch.cat(tuple(parts))
    return type(first)(
        **{field.name: concatenate_inputs([getattr(part, field.name) for part in parts]) for field in fields(first)}
    )
