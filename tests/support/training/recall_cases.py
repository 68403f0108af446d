"""Hand-made recall cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.catalog.arrays import Ragged
from training.data.recall_cases import RecallCases


def ragged(*lists: list[int]) -> Ragged:
    """Ragged array of lists of items."""
    flat = np.array([item for items in lists for item in items], dtype=np.int64)
    return Ragged(flat, np.concatenate([[0], np.cumsum([len(items) for items in lists])]).astype(np.int64))


@dataclass(frozen=True)
class Case:
    """A session to predict, with its targets by part."""

    user: str
    repeat: list[int]
    discovery: list[int]
    reachable: list[int]
    request_at: int = 0
    play_number: int = 0


def recall_cases(cases: list[Case]) -> RecallCases:
    """The cases as RecallCases."""
    names = sorted({case.user for case in cases})
    return RecallCases(
        user_ids=np.array([case.user for case in cases], dtype=object),
        user_C=np.array([names.index(case.user) for case in cases]),
        play_number_C=np.array([case.play_number for case in cases]),
        request_at_C=np.array([case.request_at for case in cases]),
        scenes=np.array([None] * len(cases), dtype=object),
        items={
            "targets": ragged(*(case.repeat + case.discovery for case in cases)),
            "repeat": ragged(*(case.repeat for case in cases)),
            "discovery": ragged(*(case.discovery for case in cases)),
            "reachable": ragged(*(case.reachable for case in cases)),
        },
    )
