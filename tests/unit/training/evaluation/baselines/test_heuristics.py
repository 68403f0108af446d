"""Heuristic baselines against lists by hand for the history of one user."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.training.evaluation_marts import Play, write
from training.data.training_data import TrainingData
from training.evaluation.baselines import heuristics
from training.recipes import recipe

SKIPPED = 5_000
PLAYS = [
    # C: two listens long ago. A: one listen a day before. B: an hour before. D: skipped only.
    Play("u", 0, "C", 0),
    Play("u", 1, "C", 0),
    Play("u", 1000, "A", 1),
    Play("u", 1001, "D", 1, played_ms=SKIPPED),
    Play("u", 1023, "B", 2, part="validation"),
    Play("u", 1024, "E", 3, part="test"),
    Play("u", 1030, "A", 4, part="test"),
    # Another user makes F, by the artist of A, the most popular track.
    Play("v", 10, "F", 0),
    Play("v", 11, "F", 0),
    Play("v", 12, "F", 0),
    Play("v", 12.5, "D", 0),
    Play("v", 13, "G", 0, part="test"),
]
ARTISTS = {"A": "one", "F": "one", "D": "one", "B": "two", "C": "three", "E": "four", "G": "five"}


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    return TrainingData(write(tmp_path, PLAYS, ARTISTS), "held_out", recipe("debug"))


def lists(data: TrainingData, name: str, k: int = 6) -> list[list[str]]:
    items = heuristics.recall(data, data.recall_cases("test"), k, progress=False)[name]
    return [[str(data.vocabulary.track_ids_V[item]) for item in row if item] for row in items]


def test_most_played(data: TrainingData) -> None:
    assert lists(data, "most_played")[0][0] == "C"
    assert set(lists(data, "most_played")[0]) == {"A", "B", "C"}


def test_last_played(data: TrainingData) -> None:
    assert lists(data, "last_played")[:2] == [["B", "A", "C"], ["E", "B", "A", "C"]]


def test_base_level_activation(data: TrainingData) -> None:
    # At the first request: B was played 1 h before, C twice 1,024 h before, A 24 h before.
    # In seconds^-0.5: B 1/sqrt(3600)=.0167, A 1/sqrt(86400)=.0034, C 2/sqrt(3.7e6)=.0010.
    assert lists(data, "base_level_activation")[0] == ["B", "A", "C"]


def test_own_artists_unheard_is_popular_and_ignores_the_future(data: TrainingData) -> None:
    # The artist of A also has F (popular, unplayed) and D (skipped); E of artist four is played later.
    assert lists(data, "own_artists_unheard")[0] == ["F"]


def test_popularity_counts_listens_before_the_test_parts(data: TrainingData) -> None:
    assert lists(data, "popularity")[0][:2] == ["F", "C"]
    assert not {"E", "G"} & set(lists(data, "popularity")[0])
