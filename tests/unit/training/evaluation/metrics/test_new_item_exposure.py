"""New-item exposure on hand-made plays."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.training.evaluation_marts import Play, write
from training.data.training_data import TrainingData
from training.evaluation.metrics.recall_metrics import exposure, new_item_masks
from training.recipes import recipe

ARTISTS = {"1": "old", "2": "old", "3": "new", "4": "new"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    plays = [Play("u", 0, "1", 0), Play("u", 1, "3", 1, "validation"), Play("u", 2, "2", 2, "test")]
    return TrainingData(write(tmp_path_factory.mktemp("marts"), plays, ARTISTS), "held_out", recipe("debug"))


def test_items_without_plays_in_train_are_new(data: TrainingData) -> None:
    masks = new_item_masks(data)
    codes = data.vocabulary.track_code
    assert {track: bool(masks["new_tracks"][codes[track]]) for track in ARTISTS} == {
        "1": False,
        "2": True,
        "3": True,
        "4": True,
    }
    assert {track for track in ARTISTS if masks["by_new_artists"][codes[track]]} == {"3", "4"}
    assert not masks["new_tracks"][:2].any()


def test_shares_exclude_padding(data: TrainingData) -> None:
    masks, codes = new_item_masks(data), data.vocabulary.track_code
    assert exposure(np.array([[codes["1"], codes["2"], 0], [codes["1"], codes["3"], 0]]), masks) == {
        "new_tracks": 0.5,
        "by_new_artists": 0.25,
    }
    assert exposure(np.zeros((2, 3), dtype=np.int64), masks) == {"new_tracks": 0.0, "by_new_artists": 0.0}
