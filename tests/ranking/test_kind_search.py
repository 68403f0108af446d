"""How music of the candidate's kinds went, against the obvious loop over plays."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.ranking.conftest import KINDS, MINUTE, NOW, SKIP, TRACKS, history, ranking_features, user_batch
from training.data import Ragged
from training.ranking.hard_search import MATCH_FEATURES
from training.ranking.kind_search import KIND_NUMBERS, NEWEST, WINDOWS
from training.ranking.track_kinds import (
    EMOTIONS,
    LANGUAGES,
    STYLES,
    STYLES_OF_LANGUAGES,
    TrackKinds,
)
from training.ranking.track_kinds import (
    KINDS as KIND_COUNT,
)

ITEMS = np.array([0, 1, 2, 7, 12, 35])


def lists(*rows: list[int]) -> Ragged:
    return Ragged(np.array([value for row in rows for value in row], np.int64), np.cumsum([0, *map(len, rows)]))


def expected(events: list[tuple[int, int, int]], item: int) -> list[float]:
    """Kind by kind, window by window: the share of plays, and the share of listens among them."""
    newest, numbers = events[::-1], []
    for kind, window in product(range(KIND_COUNT), range(WINDOWS)):
        plays = newest[: NEWEST[window - 1]] if window else newest  # three minutes apart: one session
        values = [value for value in KINDS.value_VK[item] if KINDS.kind_U[value] == kind]
        alike = [event for event in plays for value in values if value in KINDS.value_VK[event[0]]]
        listens = sum(behaviour != SKIP for _, behaviour, _ in alike)
        numbers += [len(alike) / max(len(plays), 1), (listens + 0.7) / (len(alike) + 1)]
    return numbers


@pytest.mark.parametrize("count", [0, 1, 8, 70])
def test_counts_are_the_loop(count: int) -> None:
    features = ranking_features(kinds=True)
    rows = [history(count, 1), history(3, 2)]
    side = features.users(user_batch(rows, length=80))
    found = features.candidates(side, np.tile(ITEMS, (2, 1))).matches_BCM[..., MATCH_FEATURES:]
    assert found.shape == (2, len(ITEMS), KIND_NUMBERS)
    for b, events in enumerate(rows):
        for c, item in enumerate(ITEMS):
            np.testing.assert_allclose(found[b, c], expected(events, item), rtol=1e-5)


def test_what_ended_a_session_ago_is_not_of_this_one() -> None:
    features = ranking_features(kinds=True)
    old = [(track, behaviour, at - 100 * MINUTE) for track, behaviour, at in history(5, 3)]
    side = features.users(user_batch([old], length=8))
    found = (
        features.candidates(side, ITEMS[None])
        .matches_BCM[0, :, MATCH_FEATURES:]
        .reshape(len(ITEMS), KIND_COUNT, WINDOWS, 2)
    )
    assert found[:, :, 0, 0].abs().max() == 0 and found[:, STYLES, 1, 0].max() > 0
    assert NOW - old[-1][2] > 30 * MINUTE


def test_kinds_come_from_facets_and_survive_a_file(tmp_path: Path) -> None:
    facets = {
        "languages": (["en", "yue"], lists([], [], [1], [0, 1], [])),
        "styles": (["pop", "rock"], lists([], [], [0], [0], [])),
        "emotions": (["calm"], lists([], [], [0], [], [])),
    }
    kinds = TrackKinds.build(facets)
    assert kinds is not None and kinds.value_VK.shape[0] == 5
    of = [sorted(kinds.kind_U[[value for value in row if value]].tolist()) for row in kinds.value_VK]
    assert of[2] == sorted([LANGUAGES, STYLES, STYLES_OF_LANGUAGES, EMOTIONS])
    assert of[3] == sorted([LANGUAGES] * 2 + [STYLES] + [STYLES_OF_LANGUAGES] * 2)
    assert of[0] == of[1] == of[4] == []
    assert len(set(kinds.value_VK[2]) & set(kinds.value_VK[3]) - {0}) == 3  # Cantonese, pop, Cantonese pop
    kinds.save(tmp_path)
    read = TrackKinds.load(tmp_path)
    assert read is not None
    np.testing.assert_array_equal(read.value_VK, kinds.value_VK)
    np.testing.assert_array_equal(read.kind_U, kinds.kind_U)
    assert TrackKinds.load(tmp_path / "nothing") is None


def test_tracks_without_facets_are_of_no_kind() -> None:
    nothing = ([], lists(*[[]] * TRACKS))
    assert TrackKinds.build({"languages": nothing, "styles": nothing, "emotions": nothing}) is None
