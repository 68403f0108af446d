"""On later sessions of a simulated world, a channel that learned for a few hundred steps finds more than popularity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training.planted_world import PlantedWorld
from training.data.recall_at_k import recall_table
from training.data.user_batch import OfflineFeatures
from training.recall.channel import RecallChannel
from training.recall.long_short.channel import LongShort
from training.recall.long_short.config import long_short_config
from training.recall.popularity import Popularity
from training.recall.realtime.channel import Realtime
from training.recall.realtime.config import realtime_config

STEPS = 100
HALF = {"width": 32, "length": 32, "batch": 32, "warmup": 10, "in_batch_negatives": 256, "uniform_negatives": 256}


def realtime(world: PlantedWorld, folder: Path) -> RecallChannel:
    config = replace(realtime_config("small"), **HALF, layers=1, steps=STEPS, early_stopping_step=STEPS)
    return Realtime.fit(world.data, config, folder)


def long_short(world: PlantedWorld, folder: Path) -> RecallChannel:
    config = replace(
        long_short_config("small"),
        **HALF,
        max_repeat_items=200,
        steps=STEPS,
        early_stopping_step=STEPS,
        discovery_share=0.0,
    )
    return LongShort.fit(world.data, config, folder)


def found(world: PlantedWorld, channel: RecallChannel) -> dict[str, float]:
    cases = world.data.recall_cases("validation")
    users = OfflineFeatures(world.data).load_user_batch(
        channel.feature_service, cases.user_ids.tolist(), cases.request_at_C
    )
    return recall_table(channel.recall(users, 50).items_BK, cases, cutoffs=(20, 50))


@pytest.mark.parametrize(("fit", "kind", "margin"), [(realtime, "reachable", 1.5), (long_short, "repeat", 1.5)])
def test_more_is_found_than_by_popularity(planted: PlantedWorld, tmp_path: Path, fit, kind: str, margin: float) -> None:
    """Of what the channel is for: `realtime` finds what is new, `long_short` what comes again."""
    mine = found(planted, fit(planted, tmp_path / "channel"))
    popular = found(planted, Popularity.fit(planted.data, Popularity.config("small"), tmp_path))
    assert mine[f"recall_at_20/{kind}"] > margin * popular[f"recall_at_20/{kind}"]
    assert mine["recall_at_20/all"] > 1.15 * popular["recall_at_20/all"]
