"""What a ranker reads, as tensors: the user's side once a request, the candidates' side for each of them.

Shape letters: B requests, C candidates, L events, U user features, F candidate features, M match
features. Knows nothing about how the numbers are made: see `features.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class UserInputs:
    """One row a request; events oldest first, padded on the right with zeros. `listened_BL`: plays that were not skipped."""

    event_track_BL: Tensor
    event_artist_BL: Tensor
    event_behaviour_BL: Tensor
    event_gap_BL: Tensor
    event_ratio_BL: Tensor
    mask_BL: Tensor
    listened_BL: Tensor
    context_BU: Tensor
    hour_B: Tensor
    weekday_B: Tensor
    scene_B: Tensor

    def __len__(self) -> int:
        """Number of requests, B."""
        return len(self.hour_B)

    def to(self, device: torch.device) -> UserInputs:
        """The same on a device."""
        return UserInputs(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class CandidateInputs:
    """C candidates a request. Every number belongs to one candidate alone: none depends on the others.

    `features_BCF` are about the candidate whoever asks; `matches_BCM` are where hard search found it in the user's
    histories, for rankers that use it.
    """

    track_BC: Tensor
    artist_BC: Tensor
    features_BCF: Tensor
    matches_BCM: Tensor

    def to(self, device: torch.device) -> CandidateInputs:
        """The same on a device."""
        return CandidateInputs(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})
