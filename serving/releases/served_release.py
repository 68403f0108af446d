"""A release as the request path uses it: the models that training wrote, with the filters' view of its catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.data.catalog import Catalog
from training.data.collections import CollectionIndex
from training.data.feature_services import ServiceContract
from training.data.vocabulary import Vocabulary
from training.slate.blend import Blend

REMOTE_MODEL = "elsewhere"
"""In the place of a model that is not in this process."""


@dataclass(frozen=True)
class ServedRelease:
    """Everything one answer needs, immutable and shared by all requests.

    `contract` says which features its models may see, `as_of` (YYYY-MM-DD, "": unknown) up to when they have learned.
    `channels` maps a name to a `RecallChannel`; they and the ranker are ELSEWHERE where another process has loaded them.
    `shelves` are the playlists and mlogs it recommends, by name, and `containers` what recalls them; none where the channels
    are elsewhere.
    """

    release_id: str
    channels: Mapping[str, Any]
    fusion: Any
    ranker: Any
    blend: Blend
    vocabulary: Vocabulary
    catalog: Catalog
    contract: ServiceContract
    as_of: str = ""
    collection_channels: Mapping[str, Any] = field(default_factory=dict)
    collection_indexes: Mapping[str, CollectionIndex] = field(default_factory=dict)

    def source(self, name: str) -> Any:
        """The `CandidateSource` of a name, whatever it finds.

        Raises:
            KeyError: there is none.
        """
        return self.collection_channels[name] if name in self.collection_channels else self.channels[name]
