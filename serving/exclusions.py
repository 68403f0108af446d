"""What a user never wants to see again: the tracks and artists that were blocked or disliked.

Reads the sequence view `exclusions` as the online store gives it. Knows nothing about candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VIEW = "exclusions"


@dataclass(frozen=True)
class Exclusions:
    """Ids of tracks and of artists, as the events named them."""

    track_ids: frozenset[str] = field(default_factory=frozenset)
    artist_ids: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, sequences: Mapping[str, Mapping[str, Sequence[Any]]]) -> Exclusions:
        """From a user's online sequences; none when the user has excluded nothing."""
        rows = sequences.get(VIEW) or {}
        pairs = list(zip(rows.get("target_type", ()), rows.get("target_id", ()), strict=True))
        return cls(
            track_ids=frozenset(target for kind, target in pairs if kind == "track"),
            artist_ids=frozenset(target for kind, target in pairs if kind == "artist"),
        )
