"""Exposures: one record per response, which ingestion lands as impressions and as rows of the table of exposures.

Independent of HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from event_store.store import ServingState
from serving.pipeline.request import Request
from serving.pipeline.response import ResponseItem
from training.data.user_batch import UserBatch


@dataclass(frozen=True)
class Exposure:
    """A response as it was shown: request, release, hash of the features, and items in order."""

    request: Request
    release: str
    features_hash: str
    items: Sequence[ResponseItem]

    def to_record(self) -> dict[str, Any]:
        """The record: `shown_at` in µs UTC, positions from 0; items of another release name it."""
        request = self.request
        return {
            "request_id": request.request_id,
            "user_id": request.user_id,
            "scene": request.scene.name,
            "shown_at": request.at_us,
            "release": self.release,
            "arm": request.arm or self.release,
            "features_hash": self.features_hash,
            "items": [
                {
                    "target_type": item.target[0],
                    "target_id": item.target[1],
                    "position": position,
                    "channels": item.channels,
                    "propensity": item.propensity,
                    "is_exploration": item.is_exploration,
                }
                | ({"release": item.release} if item.release not in ("", self.release) else {})
                for position, item in enumerate(self.items)
            ],
        }


class ExposureLog:
    """Adds records to what the workers share."""

    def __init__(self, state: ServingState) -> None:
        self._state = state

    def write(self, exposure: Exposure) -> None:
        """Add one record; nothing for a response without items.

        Raises:
            StoreUnavailable: The write failed.
        """
        if exposure.items:
            self._state.add_exposure(exposure.request.user_id, exposure.to_record())


def hash_features(users: UserBatch) -> str:
    """Hash of the model inputs of one request (B = 1), independent of padding; 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, batch in sorted(users.views.items()):
        length = int(batch.length_B[0])
        for attribute, column_BL in sorted(batch.columns.items()):
            digest.update(f"{name}:{attribute}:{length}:".encode())
            digest.update(np.ascontiguousarray(column_BL[0, :length]).tobytes())
    for name, value_B in sorted(users.profile.items()):
        digest.update(f"{name}:".encode() + value_B.tobytes())
    return digest.hexdigest()
