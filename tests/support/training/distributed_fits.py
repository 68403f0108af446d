"""`python -m tests.support.training.distributed_fits MARTS OUT [--pause S] MODEL ...`: fit models of the tiny world.

Runs as a single process or, started by torchrun, as one of several ranks. Each fit writes `OUT/MODEL/` as
`training.engine.trainer` does. Dropout is off, since its random draws differ between ranks and a single process.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.training.tiny_world import SERVICES
from training.data.feature_services import ServiceContract
from training.data.training_data import TrainingData
from training.engine import distributed, trainer
from training.engine.config_io import change_config, field_paths
from training.ranking.features.ranking_features import VIEWS
from training.ranking.fit import fit_ranker
from training.ranking.registry import RANKERS
from training.recall.registry import CHANNELS
from training.recipes import recipe

RECALL = {
    "sampling.batch": 15,
    "optimizer.steps": 40,
    "validation.validate_every": 10,
    "items.item_dropout": 0.0,
    "items.id_dropout": 0.0,
    "encoder.dropout": 0.0,
}
RANKING = {
    "training.batch_size": 47,
    "training.epochs": 3,
    "training.dense_epochs": 1,
    "validation.every": 4,
    "network.id_dropout": 0.0,
    "network.dropout": 0.0,
}
MODELS: dict[str, dict[str, Any]] = {
    "realtime": {"items.content": "off", "sampling.positions_per_batch": 40},
    "realtime-full": {
        "items.content": "off",
        "loss.softmax": "full",
        "sampling.length_bucketing": True,
    },
    "long_short": {"items.content": "off"},
    "multi_interest": {},
    "sum_pooling": {},
    "target_attention": {},
    "session_domains": {"trees.count": 20, "features.searches": ()},
    # Without the auxiliary loss, whose negatives each rank draws by itself.
    "interest_evolution": {"training.auxiliary_weight": 0.0},
}
CHECKPOINT_EVERY = 5


def fit(name: str, marts: Path, out: Path, pause: float = 0.0) -> None:
    """Fit one model, pausing `pause` seconds before each batch."""
    services = SERVICES | dict.fromkeys(RANKERS, ServiceContract(VIEWS))
    data = TrainingData(marts, "held_out", recipe("debug"), services=services)
    kind, changes = name.partition("-")[0], MODELS[name]
    rank_slice, schedule = distributed.rank_slice, trainer.Schedule

    def paused_rank_slice(count: int) -> slice:
        time.sleep(pause)
        return rank_slice(count)

    distributed.rank_slice, trainer.Schedule = paused_rank_slice, partial(schedule, checkpoint_every=CHECKPOINT_EVERY)  # type: ignore[assignment]
    try:
        if kind in CHANNELS:
            config = CHANNELS[kind].config("debug")
            paths = field_paths(config)
            changed = {path: value for path, value in RECALL.items() if path in paths}
            CHANNELS[kind].fit(data, change_config(config, changed | changes), out / name)
        else:
            fit_ranker(kind, data, change_config(RANKERS[kind].config("debug"), RANKING | changes), out / name)
    finally:
        distributed.rank_slice, trainer.Schedule = rank_slice, schedule


def main() -> None:
    """Fit the named models one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("marts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("models", nargs="+", choices=MODELS)
    options = parser.parse_args()
    with distributed.process_group():
        rank, _ = distributed.rank_and_world_size()
        (options.out / f"rank-{rank}-{os.getpid()}").touch()
        for name in options.models:
            with suppress(distributed.NotRank0):
                fit(name, options.marts, options.out, options.pause)


if __name__ == "__main__":
    main()
