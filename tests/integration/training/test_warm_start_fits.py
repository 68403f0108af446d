"""Warm fits: without a learning rate they are the model that they continue, on a grown catalog, after fewer steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from tests.support.training.tiny_world import SERVICES, START, random_plays, write_marts
from training.data.feature_services import ServiceContract
from training.data.training_data import TrainingData
from training.data.warm_start import WarmStart
from training.engine.config_io import change_config
from training.nn.item_tower import ItemTower
from training.ranking.features.ranking_features import VIEWS
from training.ranking.fit import fit_ranker
from training.ranking.registry import RANKERS
from training.recall.neural_channel import NeuralChannel
from training.recall.registry import CHANNELS
from training.recipes import recipe

NEURAL_CHANNELS = sorted(name for name, kind in CHANNELS.items() if issubclass(kind, NeuralChannel))
NO_LEARNING = 1e-12
NEW_TRACK = "t99"


def open_data(folder: Path, plays: list[Any], **options: Any) -> TrainingData:
    services = SERVICES | dict.fromkeys(RANKERS, ServiceContract(VIEWS))
    marts = write_marts(folder, plays)
    counts = ("plays_total", "listens_total", "full_plays_total", "skips_total", "plays_7d", "plays_28d")
    rows = {"track_id": ["t3"], "known_at": [START], **{name: [2] for name in counts}}
    pl.DataFrame(rows).with_columns(pl.col("known_at").cast(pl.Datetime("us"))).write_parquet(
        folder / "track_statistics.parquet"
    )
    return TrainingData(marts, "held_out", recipe("debug"), services=services, **options)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingData, TrainingData]:
    """A day, and the next one with more plays, of a further track too, so that all codes are others."""
    plays = random_plays()
    more = [(user, NEW_TRACK if n % 3 else track, ended, ms) for n, (user, track, ended, ms) in enumerate(plays[:60])]
    later = [*plays, *((f"v{user}", track, ended, ms) for user, track, ended, ms in more)]
    folder = tmp_path_factory.mktemp("days")
    return open_data(folder / "first", plays), open_data(folder / "second", later)


def shared_tracks(days: tuple[TrainingData, TrainingData]) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of the tracks of the first day on both days."""
    tracks = sorted(days[0].vocabulary.track_code)
    first, second = (torch.tensor([data.vocabulary.track_code[track] for track in tracks]) for data in days)
    assert not torch.equal(first, second)
    return first, second


@pytest.mark.parametrize("name", NEURAL_CHANNELS)
def test_channel_continues_the_vectors_of_known_tracks(
    name: str, days: tuple[TrainingData, TrainingData], tmp_path: Path
) -> None:
    config = change_config(CHANNELS[name].config("debug"), {"items.min_plays": 1})
    first: Any = CHANNELS[name].fit(days[0], config, tmp_path / "a")
    first.save(tmp_path / "model")
    start = WarmStart(tmp_path / "model", days[0].vocabulary, "hash", "2026-06-10")
    data = replace(days[1], warm_start=start)
    still = change_config(config, {"optimizer.learning_rate": NO_LEARNING})
    second: Any = CHANNELS[name].fit(data, still, tmp_path / "b")
    assert 0 < second.measures()["steps"] <= 6 < config.optimizer.steps
    assert second.resolved_config.optimizer == still.optimizer, "the final fit plans its own steps"
    before, now = shared_tracks(days)
    with torch.no_grad():
        towers = [
            next(part for part in channel.network.modules() if isinstance(part, ItemTower))
            for channel in (first, second)
        ]
        played = torch.from_numpy(np.isin(before.numpy(), days[0].plays.track_P))
        expected, found = towers[0](before)[played], towers[1](now)[played]
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
    changed = CHANNELS[name].fit(data, config, tmp_path / "c")
    assert changed.measures()["steps"] > 0


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_ranker_continues_the_embeddings_of_known_tracks(
    name: str, days: tuple[TrainingData, TrainingData], tmp_path: Path
) -> None:
    changes = {"training.epochs": 2, "training.batch_size": 64, "validation.every": 4}
    changes |= {"trees.count": 0, "features.searches": ()}
    config = change_config(RANKERS[name].config("debug"), changes)
    first = fit_ranker(name, days[0], config, tmp_path / "a")
    first.save(tmp_path / "model")
    data = replace(days[1], warm_start=WarmStart(tmp_path / "model", days[0].vocabulary, "hash", "2026-06-10"))
    still = change_config(config, {"training.learning_rate": NO_LEARNING})
    second = fit_ranker(name, data, still, tmp_path / "b")
    cold = fit_ranker(name, days[1], still, tmp_path / "c")
    assert second.measures["steps"] < cold.measures["steps"] or cold.measures["steps"] <= 4
    before, now = shared_tracks(days)
    expected, found = first.model.embedding.track(before), second.model.embedding.track(now)
    is_own = (first.model.embedding.track.row_of_V[before] > 1) & (second.model.embedding.track.row_of_V[now] > 1)
    assert is_own.any()
    np.testing.assert_allclose(found[is_own].detach().numpy(), expected[is_own].detach().numpy(), atol=1e-5)
    assert not torch.allclose(cold.model.embedding.track(now)[is_own], expected[is_own], atol=1e-2)
