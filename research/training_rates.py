"""Training rates of recall channels and rankers on synthetic data: examples per second, elapsed and by processor time.

    train_self_attention      `realtime` with two blocks of two heads, sequences per second; the loss is at a quarter of the
                              positions
    train_multi_interest      four interests, targets per second; 16 follow each history
    train_<ranker>            cases of 50 listened events per second
    <name>_core               the same per second of processor time, which other load affects less

Channels: sequences of 64 tracks out of 50,000, width 64, batches of 64, dropout 0.1, tracks by their ids alone. Rankers: width 32,
batches of 256. Each try has its own process on two threads, and the better of two counts; steps are the same as in every fit
(`training.trainer`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from config import settings
from config.dataclass_io import change_config
from research.result import Result
from sequences import behaviors
from sequences.sequence_batch import FIRST_CODE
from training.networks.item_tower import ItemCodes
from training.recall.windows import SampledSoftmaxLoss
from training.recipes import config_of

RANKER_NAMES = ("target_attention", "interest_evolution", "session_domains")
UNITS = {"self_attention": "sequences", "multi_interest": "targets"} | dict.fromkeys(RANKER_NAMES, "cases")
TRIES, THREADS = 2, 2
WARM_UP_STEPS = 5
BATCHES = 8
TRACKS, WIDTH, LENGTH, CHANNEL_BATCH, DROPOUT = 50_000, 64, 64, 64, 0.1
INTERESTS, TARGETS = 4, 16
POSITIONS_PER_BATCH = 1024  # `positions_per_batch` of realtime
PLAY_INTERVAL_US = 200_000_000
CASE_BATCH, CASE_EVENTS = 256, 50


def run(name: str, steps: int) -> list[Result]:
    """Return the rates over `steps` steps."""
    command = [sys.executable, "-m", "research.training_rates", name, str(steps)]
    variables = os.environ | {"OMP_NUM_THREADS": str(THREADS), "SEGUE_THREADS": str(THREADS)}
    tries = [
        subprocess.run(command, env=variables, cwd=settings.ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
        for _ in range(TRIES)
    ]
    clock, core = map(max, zip(*(json.loads(one.splitlines()[-1]) for one in tries), strict=True))
    return [
        Result.from_values(f"train_{name}", f"{UNITS[name]}/s", clock),
        Result.from_values(f"train_{name}_core", f"{UNITS[name]}/s of processor time", core),
    ]


def measure(name: str, steps: int) -> tuple[float, float]:
    """Examples per second in this process, elapsed and by processor time."""
    from training import trainer

    torch.manual_seed(0)
    prepare = {"self_attention": _self_attention, "multi_interest": _multi_interest}.get(name)
    module, batches, examples = prepare(steps) if prepare else _ranker(name, steps)
    step_starts: list[tuple[float, float]] = []
    training_step = module.training_step

    def timed_step(*arguments: Any) -> Any:
        step_starts.append((time.perf_counter(), time.process_time()))
        return training_step(*arguments)

    module.training_step = timed_step
    schedule = trainer.Schedule(WARM_UP_STEPS + steps, checkpoint_every=WARM_UP_STEPS + steps + 1)
    with tempfile.TemporaryDirectory() as checkpoints:
        trainer.fit(module, lambda step: batches[step % len(batches)], schedule, Path(checkpoints))
    clock, core = (after - before for before, after in zip(step_starts[-1 - steps], step_starts[-1], strict=True))
    return examples * steps / clock, examples * steps / core


def _self_attention(steps: int) -> tuple[Any, list[Any], int]:
    from recommender.recall.realtime import Realtime
    from training.networks.next_item import NextItemNetwork
    from training.recall.windows import WindowLoss

    changes = {
        "items.width": WIDTH,
        "encoder.history_length": LENGTH,
        "encoder.layers": 2,
        "encoder.heads": 2,
        "encoder.dropout": DROPOUT,
        "sampling.batch": CHANNEL_BATCH,
        "sampling.positions_per_batch": POSITIONS_PER_BATCH,
        "discovery_share": 0.0,
        "optimizer.steps": WARM_UP_STEPS + steps,
    }
    config = change_config(config_of(Realtime, "small"), changes)
    network = NextItemNetwork(config, _codes()).train()

    class Softmax(WindowLoss):
        """Loss of precomputed windows."""

        def __init__(self) -> None:
            self.network, self.config, self.tasks = network, config, ("next",)
            self.item_loss = _item_loss(network, config)

    items = _sample_items()
    history = items[..., :LENGTH]
    played = torch.full_like(history[0], behaviors.load_behaviors().encoder["full_play"])
    apart, none = torch.full_like(history[0], PLAY_INTERVAL_US), torch.zeros_like(history[0])
    batches = [
        {"item_BL": history[n], "behavior_BL": played, "gap_BL": apart, "query_gap_BL": apart}
        | {"next_BL": items[n, :, 1 : LENGTH + 1], "new_BL": none}
        for n in range(len(items))
    ]
    return Softmax(), batches, CHANNEL_BATCH


def _multi_interest(steps: int) -> tuple[Any, list[Any], int]:
    from recommender.recall.multi_interest.channel import MultiInterest
    from training.networks.multi_interest import MultiInterestNetwork
    from training.recall.multi_interest import InterestLoss

    changes = {
        "items.width": WIDTH,
        "encoder.history_length": LENGTH,
        "encoder.interests": INTERESTS,
        "sampling.batch": CHANNEL_BATCH,
        "sampling.targets_per_window": TARGETS,
        "optimizer.steps": WARM_UP_STEPS + steps,
    }
    config = change_config(config_of(MultiInterest, "small"), changes)
    network = MultiInterestNetwork(config, _codes())

    class Learner(InterestLoss):
        """Module that trains on precomputed windows."""

        def __init__(self) -> None:
            self.network, self.config = network, config
            self._loss = _item_loss(network, config)

    batches = []
    for item_BL in _sample_items():
        listened, following, none = (torch.zeros_like(item_BL) for _ in range(3))
        listened[:, :LENGTH] = item_BL[:, :LENGTH]
        following[:, LENGTH - 1 : -1] = item_BL[:, LENGTH:]
        batches.append({"listened": listened, "next": following, "new": none})
    network.train()
    return Learner(), batches, CHANNEL_BATCH * TARGETS


def _share_V() -> np.ndarray:
    """Popularity of the tracks, with a long tail; 0 for codes that are no tracks."""
    share = (np.arange(TRACKS) + 10.0) ** -0.7
    return np.concatenate([np.zeros(FIRST_CODE), share / share.sum()])


def _sample_items() -> torch.Tensor:
    shape = (BATCHES, CHANNEL_BATCH, LENGTH + TARGETS)
    return torch.from_numpy(np.random.default_rng(0).choice(TRACKS + FIRST_CODE, shape, p=_share_V()))


def _codes() -> ItemCodes:
    vocabulary = TRACKS + FIRST_CODE
    return ItemCodes(
        torch.arange(vocabulary), torch.zeros(vocabulary, dtype=torch.int64), torch.zeros((vocabulary, 0)).long()
    )


def _item_loss(network: Any, config: Any) -> SampledSoftmaxLoss:
    is_item_V = np.arange(TRACKS + FIRST_CODE) >= FIRST_CODE
    return SampledSoftmaxLoss(network, _share_V(), is_item_V, config.loss)


def _ranker(name: str, steps: int) -> tuple[Any, list[Any], int]:
    from recommender.ranking.ranker import as_tensors
    from recommender.ranking.registry import RANKERS
    from research.serving import synthetic_rankers
    from training.ranking.case_batches import CaseBatch
    from training.ranking.fit import RankerObjective

    changes = {"training.steps": WARM_UP_STEPS + steps, "training.batch_size": CASE_BATCH}
    ranker = synthetic_rankers.make_ranker(name, changes)
    random, batches = np.random.default_rng(1), []
    for _ in range(BATCHES):
        side = ranker.features.prepare_users(synthetic_rankers.make_user_batch(random, CASE_BATCH, CASE_EVENTS))
        candidates = ranker.features.prepare_candidates(
            side, synthetic_rankers.sample_tracks(random, CASE_BATCH)[:, None]
        )
        label_B = torch.from_numpy((random.random(CASE_BATCH) < 0.7).astype(np.float32))
        labels_BT = label_B[:, None].repeat(1, len(ranker.tasks))
        inputs = as_tensors(side.inputs), as_tensors(candidates)
        batches.append(CaseBatch(*inputs, labels_BT, torch.zeros(CASE_BATCH, dtype=torch.int64)))
    network = RANKERS[name].from_weights(ranker.resolved_config, ranker.tasks, ranker.weights).train()
    return RankerObjective(network, ranker.resolved_config), batches, CASE_BATCH


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
