"""Choice of a channel's index and its description."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.training.tiny_world import users_at
from training.data.training_data import TrainingData
from training.engine.config_io import change_config
from training.index.exact import ExactIndex
from training.index.ivf import MIN_RECALL, IVFIndex, RecordedSearch, RecordingIndex, choose_index, recall_against_exact
from training.recall.neural_channel import NeuralChannel
from training.recall.registry import CHANNELS

INDEXED = [name for name, channel in CHANNELS.items() if issubclass(channel, NeuralChannel)]


def _recording_index(count: int = 3_000) -> RecordingIndex:
    """60 directions, items near them, and the recorded searches of 40 queries."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(60, 16, generator=generator)
    centre_of_item = torch.randint(0, 60, (count,), generator=generator)
    vectors = torch.nn.functional.normalize(
        centre[centre_of_item] + 0.5 * torch.randn(count, 16, generator=generator), dim=1
    )
    index = RecordingIndex.wrap(ExactIndex.of(np.arange(2, count + 2), vectors))
    queries = torch.nn.functional.normalize(vectors[:40] + 0.1 * torch.randn(40, 16, generator=generator), dim=1)
    index.search_best(queries.view(20, 2, 16), 50, np.arange(2, 42).reshape(20, 2))
    return index


def test_recall_is_the_share_of_recorded_results_found() -> None:
    index = ExactIndex.of(np.array([5, 6, 7]), torch.eye(3))
    query = torch.tensor([[[3.0, 2.0, 1.0]], [[1.0, 2.0, 3.0]]])
    search = RecordedSearch(query, np.array([[6], [0]]), np.array([[5, 6], [7, 0]]))
    # Row 1 gets 5 and 7, which is one of two; row 2 gets 7 and 6, which is one of one.
    assert recall_against_exact(index, [search]) == pytest.approx(0.75)
    assert recall_against_exact(index, [RecordedSearch(query, None, np.zeros((2, 2), dtype=np.int64))]) == 1


def test_small_indexes_stay_exact() -> None:
    recording = _recording_index()
    for exact_up_to in (None, 3_000):
        index, known = choose_index(recording, exact_up_to, recording.searches, seed=0)
        assert index is recording
        assert known == {"kind": "exact", "vectors": 3_000, "recall_at_200": 1.0}


def test_large_indexes_are_approximate_with_high_recall() -> None:
    recording = _recording_index()
    index, known = choose_index(recording, 2_999, recording.searches, seed=0)
    assert isinstance(index, IVFIndex)
    assert known["kind"] == "approximate"
    assert (known["lists"], known["probes"]) == (54, index.probes)
    assert MIN_RECALL <= known["recall_at_200"] == round(recall_against_exact(index, recording.searches), 4)
    again = IVFIndex.of(recording, index.probes, seed=0)
    assert recall_against_exact(again, recording.searches) == recall_against_exact(index, recording.searches)


def test_probes_increase_until_recall_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = _recording_index()
    monkeypatch.setattr("training.index.ivf.INITIAL_PROBES", 1)
    index, known = choose_index(recording, 0, recording.searches, seed=0)
    assert isinstance(index, IVFIndex)
    assert index.probes > 1
    assert recall_against_exact(IVFIndex.of(recording, 1, 0), recording.searches) < MIN_RECALL <= known["recall_at_200"]


def test_index_stays_exact_if_recall_is_too_low(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recording = _recording_index()
    monkeypatch.setattr("training.index.ivf.INITIAL_PROBES", 1)
    monkeypatch.setattr("training.index.ivf.MAX_PROBED_FRACTION", 0.02)
    index, known = choose_index(recording, 0, recording.searches, seed=0)
    assert index is recording
    assert known["kind"] == "exact"
    assert "searches over 3000 vectors stay exact" in caplog.text


@pytest.mark.parametrize("name", INDEXED)
def test_channel_is_equal_after_save_and_load(name: str, data: TrainingData, tmp_path: Path) -> None:
    kind = CHANNELS[name]
    config = change_config(
        kind.config("debug"), {"index.exact_up_to": 5} | ({"discovery_share": 0.3} if name == "long_short" else {})
    )
    channel = kind.fit(data, config, tmp_path / "fit")
    assert isinstance(channel, NeuralChannel) and isinstance(channel.index.warm, IVFIndex)
    known = channel.measures()["index"]
    assert known["kind"] == "approximate"
    assert known["probes"] == channel.resolved_config.index.probes == channel.index.warm.probes
    assert MIN_RECALL <= known["recall_at_200"] <= 1
    channel.save(tmp_path / "saved")
    loaded = kind.load(tmp_path / "saved", data.vocabulary)
    assert isinstance(loaded, NeuralChannel) and isinstance(loaded.index.warm, IVFIndex)
    users = users_at(data, kind.feature_service, ["u0", "u1", "u2"], [4_000_000_000_000_000] * 3)
    assert np.array_equal(channel.recall(users, 10).items_BK, loaded.recall(users, 10).items_BK)
