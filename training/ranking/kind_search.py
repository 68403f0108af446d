"""How music of the candidate's kinds went: in this session, and among the newest plays.

A track that was never played, by an artist who was never played, still is of a language, a style and an emotion; and a
session has a mood. Shape letters: B requests, C candidates, N plays that are read, K values of a track, U values, W windows.
Every row is computed from its own candidate alone; the same code offline and online.
"""

from __future__ import annotations

import numpy as np

from training.ranking.hard_search import Array, History, Outcomes, listened_share
from training.ranking.track_kinds import KINDS, TrackKinds

NEWEST = (10, 50, 500)
WINDOWS = 1 + len(NEWEST)
KIND_NUMBERS = KINDS * WINDOWS * 2


class KindTallies:
    """Listens and plays of each value, by window: this session, then the NEWEST plays."""

    def __init__(self, kinds: TrackKinds, history: History, outcomes: Outcomes) -> None:
        self.kinds = kinds
        values = len(kinds.kind_U)
        B, L = history.track_BL.shape
        place_BN = history.length_B[:, None] - 1 - np.arange(min(NEWEST[-1], L))
        there_BN, place_BN = place_BN >= 0, np.maximum(place_BN, 0)
        track_BN, outcome_BN, session_BN = (
            np.take_along_axis(of_BL, place_BN, axis=1)
            for of_BL in (history.track_BL, outcomes.outcome_BL, outcomes.in_session_BL)
        )
        # The newest plays of all windows are counted once, each in the narrowest it is in.
        ring_N = np.searchsorted(NEWEST, np.arange(place_BN.shape[1]), side="right")
        is_play_BN = there_BN & (outcome_BN != 0)
        value_BNK = kinds.value_VK[np.maximum(track_BN, 0)]

        def tallies(is_counted_BN: Array) -> Array:
            row, place = np.nonzero(is_counted_BN)
            code_XK = (row * len(NEWEST) + ring_N[place])[:, None] * values + value_BNK[row, place]
            counts = np.bincount(code_XK.ravel(), minlength=B * len(NEWEST) * values)
            counts_BRU: Array = counts.reshape(B, len(NEWEST), values)
            return counts_BRU

        def windows(is_counted_BN: Array) -> Array:
            session_BU = tallies(is_counted_BN & session_BN).sum(1)
            return np.concatenate([session_BU[:, None], tallies(is_counted_BN).cumsum(1)], axis=1)

        self.plays_BWU, self.listens_BWU = windows(is_play_BN), windows(is_play_BN & (outcome_BN > 0))
        in_window_BWN = [is_play_BN & session_BN, *(is_play_BN & (ring_N <= ring) for ring in range(len(NEWEST)))]
        self.total_BW = np.stack([is_in_BN.sum(1) for is_in_BN in in_window_BWN], axis=1)

    def of_candidates(self, items_BC: Array) -> list[Array]:
        """KIND_NUMBERS columns [B, C], kind by kind and window by window: the share of plays that were of the candidate's
        values, and the share of listens among them.
        """
        value_BCK = self.kinds.value_VK[items_BC]
        kind_BCK = self.kinds.kind_U[value_BCK]
        row_B11 = np.arange(len(items_BC))[:, None, None]
        plays_BCKW, listens_BCKW = (
            of_BWU.transpose(0, 2, 1)[row_B11, value_BCK] for of_BWU in (self.plays_BWU, self.listens_BWU)
        )
        total_B1W = np.maximum(self.total_BW, 1)[:, None]
        columns: list[Array] = []
        for kind in range(KINDS):
            is_of_BCK1 = (kind_BCK == kind)[..., None]
            plays_BCW = (plays_BCKW * is_of_BCK1).sum(2)
            listens_BCW = (listens_BCKW * is_of_BCK1).sum(2)
            share_BCW, listened_BCW = plays_BCW / total_B1W, listened_share(listens_BCW, plays_BCW - listens_BCW)
            columns += [of_BCW[..., window] for window in range(WINDOWS) for of_BCW in (share_BCW, listened_BCW)]
        return columns
