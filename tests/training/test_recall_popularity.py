"""What `popularity` says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.recall.popularity import FACETS_USED, Popularity, PopularityConfig, _Facets
from training.vocabulary import Vocabulary

MANY = "because many people are listening to it"
FEW = "because it is among the most played tracks"
EMPTY = Vocabulary(*[np.array([""])] * 5)


def fitted(listeners: int) -> Popularity:
    items, nothing = np.array([2, 3]), {name: np.zeros((2, 0), dtype=bool) for name in FACETS_USED}
    facets = _Facets(items, {name: [] for name in FACETS_USED}, nothing)
    return Popularity(PopularityConfig(), items, np.array([2.0, 1.0]), facets, listeners)


@pytest.mark.parametrize(("listeners", "said"), [(1, FEW), (9, FEW), (10, MANY), (20_000, MANY)])
def test_of_one_listener_nobody_says_that_many_people_listen(tmp_path: Path, listeners: int, said: str) -> None:
    channel = fitted(listeners)
    channel.save(tmp_path)
    loaded = Popularity.load(tmp_path, EMPTY)
    assert channel.reasons(None, [2, 3]) == loaded.reasons(None, [2, 3]) == [said] * 2


def test_a_release_from_before_speaks_of_many(tmp_path: Path) -> None:
    fitted(1).save(tmp_path)
    file = tmp_path / "popularity.json"
    stored = json.loads(file.read_text())
    del stored["listeners"]
    file.write_text(json.dumps(stored))
    assert Popularity.load(tmp_path, EMPTY).reasons(None, [2]) == [MANY]
