"""Content similarity: how alike a candidate and the newest plays are in sound, cover and texts.

A track that was never played has content, so these features tell new tracks apart that all other features take for
equal. Each value is computed from its own candidate alone; the same code offline and online.

Shape letters: V vocabulary, W content width, B requests, C candidates, N plays that are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from training.content.track_content import TrackContent
from training.ranking.features.history_match import Array, History, Outcomes

CONTENT_FILE = "track_content.safetensors"
RECENT_PLAYS = 50
CONTENT_FEATURES = 6


@dataclass(frozen=True)
class ContentRows:
    """Content of tracks: rows of unit length, or of zeros for tracks without content."""

    row_VW: NDArray[np.float16]

    @classmethod
    def build(cls, content: TrackContent) -> ContentRows | None:
        """Return the rows of the content of the V tracks; None if no track has texts or a vector besides its names."""
        if not content.has_descriptive_content_V.any():
            return None
        row_VW = content.row_VW.astype(np.float32)
        length_V1 = np.linalg.norm(row_VW, axis=1, keepdims=True)
        return cls((row_VW / np.maximum(length_V1, 1e-6)).astype(np.float16))

    def save(self, folder: Path) -> None:
        """Write one safetensors file."""
        save_file({"row_VW": self.row_VW}, folder / CONTENT_FILE)

    @classmethod
    def load(cls, folder: Path) -> ContentRows | None:
        """Read the file that `save` wrote; None if there is none."""
        file = folder / CONTENT_FILE
        return cls(load_file(file)["row_VW"]) if file.exists() else None


class ContentSimilarity:
    """Cosines between candidates and the newest RECENT_PLAYS plays, by the outcome of the plays."""

    def __init__(self, content: ContentRows, history: History, outcomes: Outcomes) -> None:
        self.content = content
        position_BN = history.length_B[:, None] - 1 - np.arange(min(RECENT_PLAYS, history.track_BL.shape[1]))
        track_BN, outcome_BN, session_BN = (
            np.take_along_axis(values_BL, np.maximum(position_BN, 0), axis=1)
            for values_BL in (history.track_BL, outcomes.outcome_BL, outcomes.in_session_BL)
        )
        self.play_BNW = content.row_VW[np.maximum(track_BN, 0)].astype(np.float32)
        is_known_BN = (position_BN >= 0) & self.play_BNW.any(axis=2)
        is_listened_BN = is_known_BN & (outcome_BN > 0)
        self.masks = (is_listened_BN, is_known_BN & (outcome_BN < 0), is_listened_BN & session_BN)

    def compute_candidate_features(self, items_BC: Array) -> list[Array]:
        """Return CONTENT_FEATURES columns [B, C].

        The largest and the mean cosine with tracks listened to, the same with skipped tracks, the mean cosine with
        tracks listened to in this session, each 0 without such plays; and whether the candidate has content.
        """
        item_BCW = self.content.row_VW[items_BC].astype(np.float32)
        cosine_BCN = item_BCW @ self.play_BNW.swapaxes(1, 2)
        columns: list[Array] = []
        for mask_BN in self.masks:
            mask_B1N, count_B1 = mask_BN[:, None], np.maximum(mask_BN.sum(1), 1)[:, None]
            if mask_BN is not self.masks[-1]:
                largest_BC = np.where(mask_B1N, cosine_BCN, -np.inf).max(axis=2, initial=-np.inf)
                columns.append(np.where(np.isfinite(largest_BC), largest_BC, 0))
            columns.append((cosine_BCN * mask_B1N).sum(axis=2) / count_B1)
        return [*columns, item_BCW.any(axis=2)]
