"""What a user never wants to see again: the tracks, artists, playlists and mlogs that were blocked or
disliked.

From the sequence view `exclusions`, or from any such pairs of target type and id. Knows nothing about candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EXCLUSIONS_VIEW = "exclusions"


@dataclass(frozen=True)
class Exclusions:
    """Ids of tracks and of artists, as the events named them; `containers`: type and id of playlists and mlogs."""

    track_ids: frozenset[str] = field(default_factory=frozenset)
    artist_ids: frozenset[str] = field(default_factory=frozenset)
    collections: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    def __or__(self, other: Exclusions) -> Exclusions:
        """What either excludes."""
        return Exclusions(
            self.track_ids | other.track_ids, self.artist_ids | other.artist_ids, self.collections | other.collections
        )

    def __bool__(self) -> bool:
        """Whether anything is excluded."""
        return bool(self.track_ids or self.artist_ids or self.collections)

    @classmethod
    def of(cls, sequences: Mapping[str, Mapping[str, Sequence[Any]]]) -> Exclusions:
        """From a user's online sequences; none when the user has excluded nothing."""
        rows = sequences.get(EXCLUSIONS_VIEW) or {}
        return cls.of_targets(list(zip(rows.get("target_type", ()), rows.get("target_id", ()), strict=True)))

    @classmethod
    def of_targets(cls, pairs: Sequence[tuple[str, str]]) -> Exclusions:
        """From (target type, target id) of each dislike and block."""
        return cls(
            track_ids=frozenset(target for kind, target in pairs if kind == "track"),
            artist_ids=frozenset(target for kind, target in pairs if kind == "artist"),
            collections=frozenset(pair for pair in pairs if pair[0] in ("playlist", "mlog")),
        )
