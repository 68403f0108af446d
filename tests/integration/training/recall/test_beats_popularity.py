"""On validation sessions of a simulated world, channels exceed the recall of popularity after a few hundred steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.training.planted_world import PlantedWorld
from training.data.recall_cases import recall_table
from training.data.user_batch import OfflineFeatures
from training.engine.config_io import change_config
from training.recall.channel import RecallChannel
from training.recall.long_short.channel import LongShort
from training.recall.long_short.config import long_short_config
from training.recall.popularity import Popularity
from training.recall.realtime.channel import Realtime
from training.recall.realtime.config import realtime_config

STEPS = 100
HALF = {
    "items.width": 32,
    "encoder.history_length": 32,
    "sampling.batch": 32,
    "optimizer.warmup": 10,
    "loss.in_batch_negatives": 256,
    "loss.uniform_negatives": 256,
}


def realtime(world: PlantedWorld, folder: Path) -> RecallChannel:
    config = change_config(
        realtime_config("small"),
        {**HALF, "encoder.layers": 1, "optimizer.steps": STEPS, "validation.early_stopping_step": STEPS},
    )
    return Realtime.fit(world.data, config, folder)


def long_short(world: PlantedWorld, folder: Path) -> RecallChannel:
    config = change_config(
        long_short_config("small"),
        {
            **HALF,
            "repeats.max_repeat_items": 200,
            "optimizer.steps": STEPS,
            "validation.early_stopping_step": STEPS,
            "discovery_share": 0.0,
        },
    )
    return LongShort.fit(world.data, config, folder)


def found(world: PlantedWorld, channel: RecallChannel) -> dict[str, float]:
    cases = world.data.recall_cases("validation")
    users = OfflineFeatures(world.data).load_user_batch(
        channel.feature_service, cases.user_ids.tolist(), cases.request_at_C
    )
    return recall_table(channel.recall(users, 50).items_BK, cases, cutoffs=(20, 50))


@pytest.mark.parametrize(("fit", "kind", "margin"), [(realtime, "reachable", 1.5), (long_short, "repeat", 1.5)])
def test_recall_exceeds_popularity(planted: PlantedWorld, tmp_path: Path, fit, kind: str, margin: float) -> None:
    """For the targets of the channel: discoveries for `realtime`, repeats for `long_short`."""
    mine = found(planted, fit(planted, tmp_path / "channel"))
    popular = found(planted, Popularity.fit(planted.data, Popularity.config("small"), tmp_path))
    assert mine[f"recall_at_20/{kind}"] > margin * popular[f"recall_at_20/{kind}"]
    assert mine["recall_at_20/all"] > 1.15 * popular["recall_at_20/all"]
