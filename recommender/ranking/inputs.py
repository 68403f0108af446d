"""Inputs of a ranker as arrays: user inputs once per request, candidate inputs once per candidate.

`features/ranking_features.py` computes them; networks in PyTorch read them as tensors (`as_tensors`). Shape
letters: B requests, C candidates, L events, U user features, F candidate features, M match features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Values = Any
"""An array, or for networks a tensor."""
BEHAVIOR_CODES, SCENE_CODES = 32, 16
"""Numbers of behaviors and scenes with an embedding; later ones share the last."""


@dataclass(frozen=True)
class EventInputs:
    """Events of B requests, oldest first, right-padded with zeros: codes of track, artist, behavior, age and played
    ratio.

    `session_BL` numbers sessions from 1, the newest of the sequence; 0 is padding.
    """

    track_BL: Values
    artist_BL: Values
    behavior_BL: Values
    gap_BL: Values
    ratio_BL: Values
    session_BL: Values


@dataclass(frozen=True)
class UserInputs:
    """User inputs, one row per request; recent events oldest first, right-padded with zeros.

    `listened_BL` marks plays that were not skipped. `plays` (further back than the recent events), `explicit_feedback`
    (events that are not plays) and `unclicked_impressions` are None for rankers that do not read them.
    """

    recent: EventInputs
    mask_BL: Values
    listened_BL: Values
    context_BU: Values
    hour_B: Values
    weekday_B: Values
    scene_B: Values
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

    track_BC: Values
    artist_BC: Values
    features_BCF: Values
    matches_BCM: Values
    tree_logits_BCT: Values | None = None


def concatenate_inputs(parts: Sequence[Any]) -> Any:
    """Return several inputs of one class concatenated along B."""
    first = parts[0]
    if first is None or len(parts) == 1:
        return first
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    return type(first)(
        **{field.name: concatenate_inputs([getattr(part, field.name) for part in parts]) for field in fields(first)}
    )
