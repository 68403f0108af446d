"""What a ranker reads, as tensors: the user's side once a request, the candidates' side for each of them.

Shape letters: B requests, C candidates, L events, U user features, F candidate features, M match
features. Knows nothing about how the numbers are made: see `features.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class EventInputs:
    """Events of B requests, oldest first, padded on the right with zeros: codes of track, artist, behaviour, age and
    played ratio, and how many sessions ago each was (1 the newest session of the sequence; 0 padding).
    """

    track_BL: Tensor
    artist_BL: Tensor
    behaviour_BL: Tensor
    gap_BL: Tensor
    ratio_BL: Tensor
    session_BL: Tensor

    @property
    def mask_BL(self) -> Tensor:
        """True where there is an event."""
        return self.behaviour_BL > 0

    def to(self, device: torch.device) -> EventInputs:
        """The same on a device."""
        return EventInputs(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class UserInputs:
    """One row a request; events oldest first, padded on the right with zeros. `listened_BL`: plays that were not skipped.

    `plays` reach further back than the events, `acts` are what was said of tracks without playing them; both for
    rankers that read sessions and domains, None for the others. `left` is what was shown and left alone, for rankers that
    read impressions.
    """

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
    plays: EventInputs | None = None
    explicit_feedback: EventInputs | None = None
    unclicked_impressions: EventInputs | None = None

    def __len__(self) -> int:
        """Number of requests, B."""
        return len(self.hour_B)

    def to(self, device: torch.device) -> UserInputs:
        """The same on a device."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: part if part is None else part.to(device) for name, part in parts.items()}
        return UserInputs(**moved)


@dataclass(frozen=True)
class CandidateInputs:
    """C candidates a request. Every number belongs to one candidate alone: none depends on the others.

    `features_BCF` are about the candidate whoever asks; `matches_BCM` are where hard search found it in the user's
    histories, for rankers that use it. `trees_BC`: what boosted trees say of the first task, as a logit, for rankers that
    have some.
    """

    track_BC: Tensor
    artist_BC: Tensor
    features_BCF: Tensor
    matches_BCM: Tensor
    tree_logits_BC: Tensor | None = None

    def to(self, device: torch.device) -> CandidateInputs:
        """The same on a device."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: part if part is None else part.to(device) for name, part in parts.items()}
        return CandidateInputs(**moved)


def concatenate_inputs(parts: Sequence[Any]) -> Any:
    """Several inputs of one kind as one, the rows of one after those of the other; B becomes their sum."""
    first = parts[0]
    if first is None or len(parts) == 1:
        return first
    if isinstance(first, Tensor):
        return torch.cat(tuple(parts))
    return type(first)(
        **{field.name: concatenate_inputs([getattr(part, field.name) for part in parts]) for field in fields(first)}
    )
