"""Content similarity: how alike a candidate and recent plays are in sound, cover and texts.

A track that was never played has content, so these features tell new tracks apart that all other features take for
equal. One of them is the base-level activation of the candidate in the user's memory, predicted from content: Tran,
Sguerra, Meseguer-Brocal, Briand, Moussallam, "Beyond the past: Leveraging Audio and Human Memory for Sequential Music
Recommendation" (RecSys 2025), arXiv 2507.17356. Difference: there a network predicts the activation from audio and an
embedding of the user; here a kernel of the content similarity spreads the activation of the played tracks, so that a
candidate's own plays count in full and plays of similar tracks in part, and nothing has to be learned.

Each value is computed from its own candidate alone; the same code offline and online. Shape letters: V vocabulary, W
content width, B requests, C candidates, N plays that are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from content.track_content import TrackContent
from recommender.array_types import Array
from recommender.ranking.features.history_match import History, Outcomes
from recommender.ranking.features.user_features import HOUR_US

CONTENT_FILE = "track_content.safetensors"
PLAYS, SIMILAR_PLAYS = 200, 50
"""Newest plays for the activation, and for the other features."""
DECAY = 0.5  # of the activation with the age of a play, the usual value of ACT-R
KERNEL_WIDTH = 0.1
"""A play of a track with cosine `c` to the candidate counts exp((c - 1) / KERNEL_WIDTH)."""
CONTENT_FEATURES = 7


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
    """Cosines between candidates and the newest plays, by the outcome and the age of the plays."""

    def __init__(self, content: ContentRows, history: History, outcomes: Outcomes, request_at_B: Array) -> None:
        self.content = content
        position_BN = history.newest_positions(PLAYS)
        newest = np.arange(len(position_BN))[:, None], np.maximum(position_BN, 0)
        track_BN, ended_at_BN = history.track_BL[newest], history.ended_at_BL[newest]
        outcome_BN, session_BN = outcomes.outcome_BL[newest], outcomes.in_session_BL[newest]
        self.play_BNW = content.row_VW[np.maximum(track_BN, 0)].astype(np.float32)
        is_known_BN = (position_BN >= 0) & self.play_BNW.any(axis=2)
        age_BN = np.maximum((request_at_B[:, None] - ended_at_BN) / HOUR_US, 1 / 60)
        self.activation_BN = np.where(is_known_BN, age_BN**-DECAY, 0)
        is_known_BN = is_known_BN[:, :SIMILAR_PLAYS]
        outcome_BN, session_BN = outcome_BN[:, :SIMILAR_PLAYS], session_BN[:, :SIMILAR_PLAYS]
        listened_BN = is_known_BN & (outcome_BN > 0)
        self.masks = listened_BN, is_known_BN & (outcome_BN < 0), listened_BN & session_BN

    def compute_candidate_features(self, items_BC: Array) -> Array:
        """Return CONTENT_FEATURES features [B, C, K].

        The largest and the mean cosine with tracks listened to, the same with skipped tracks, the mean cosine with
        tracks listened to in this session, each 0 without such plays; log2(1 + predicted activation), where an hour
        ago is 1; and whether the candidate has content.
        """
        item_BCW = self.content.row_VW[items_BC].astype(np.float32)
        has_content_BC = item_BCW.any(axis=2)
        cosine_BCN = item_BCW @ self.play_BNW.swapaxes(1, 2)
        similar_BCN = cosine_BCN[..., :SIMILAR_PLAYS]
        feature_BCK = np.empty((*items_BC.shape, CONTENT_FEATURES))
        for place, mask_BN in zip((1, 3, 4), self.masks, strict=True):
            count_B1 = np.maximum(mask_BN.sum(1), 1)[:, None]
            feature_BCK[..., place] = (similar_BCN @ mask_BN[..., None].astype(np.float32))[..., 0] / count_B1
            if place < 4:
                largest_BC = np.where(mask_BN[:, None], similar_BCN, -np.inf).max(axis=2, initial=-np.inf)
                feature_BCK[..., place - 1] = np.where(largest_BC > -np.inf, largest_BC, 0)
        kernel_BCN = np.exp((cosine_BCN - 1) / KERNEL_WIDTH)
        activation_BC = (kernel_BCN @ self.activation_BN[..., None])[..., 0] * has_content_BC
        feature_BCK[..., 5], feature_BCK[..., 6] = np.log2(1 + activation_BC), has_content_BC
        return feature_BCK
