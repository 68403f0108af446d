"""Training rates of recall channels and of torch-rechub's SASRec and MIND, unmodified, on the same synthetic sequences.

Sequences of 64 tracks out of 50,000, width 64, batches of 64, dropout 0.1, tracks by their ids alone; `self_attention`
is `realtime` with two blocks of two heads, as in SASRec; `multi_interest` has four interests, as MIND. See
`step_rates`.

`self_attention` counts sequences, one task for both: SASRec trains every position against one sampled track, Segue a
quarter of the positions, sampled in each step, against 1,024. `multi_interest` counts targets: MIND trains one target
per history, against as many sampled tracks of its own as torch-rechub's example; Segue the 16 that follow a history,
each against the same 1,024. These units differ between both sides, so `train_<name>_histories_per_s` and
`train_<name>_positions_per_s` give the same rates in histories and in positions that a step learns from.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.result import Result
from benchmarks.training import step_rates
from sequences import behaviours
from sequences.sequence_batch import FIRST_CODE
from training.ablations.peer_trial import RECHUB, ensure_environment
from training.engine.config_io import change_config
from training.nn.item_tower import ItemCodes
from training.nn.sampled_softmax import SampledSoftmaxLoss

PEERS = {"self_attention": "SASRec", "multi_interest": "MIND"}
TRACKS, WIDTH, LENGTH, BATCH, BATCHES = 50_000, 64, 64, 64, 8
INTERESTS, TARGETS, MIND_NEGATIVES = 4, 16, 3
DROPOUT = 0.1
POSITIONS_PER_BATCH = 1024  # `positions_per_batch` of realtime
POSITIONS_PER_HISTORY = {
    "self_attention": (POSITIONS_PER_BATCH // BATCH, LENGTH),
    "multi_interest": (TARGETS, 1),
}
"""Positions of a history that a step learns from, in Segue and in the peer."""
PLAY_INTERVAL_US = 200_000_000
SEQUENCES = "sequences.npz"


def run(name: str, steps: int) -> list[Result]:
    """Return examples per second of `steps` steps, elapsed and by processor time."""
    with tempfile.TemporaryDirectory() as folder:
        write_sequences(Path(folder))
        ours = [sys.executable, "-m", "benchmarks.training.channel_steps", name, folder, str(steps)]
        python = str(ensure_environment(*RECHUB))
        peers = [python, "-m", "benchmarks.training.rechub", PEERS[name], folder, str(steps)]
        unit = "sequences" if name == "self_attention" else "targets"
        results = step_rates.compare_training_rates(f"train_{name}", unit, ours, f"{PEERS[name]} of {RECHUB[0]}", peers)
        return [*results, *rates_by_unit(name, results[0])]


def rates_by_unit(name: str, result: Result) -> list[Result]:
    """The same rates in two units, each counted on both sides: histories, and positions with a loss."""
    positions, peer_positions = POSITIONS_PER_HISTORY[name]
    examples, peer_examples = (1, 1) if name == "self_attention" else (positions, peer_positions)
    assert result.peer_value is not None, f"{result.name} was measured without its peer"
    histories, peer_histories = result.value / examples, result.peer_value / peer_examples
    units = {"histories": (1, 1), "positions": (positions, peer_positions)}
    return [
        Result.from_values(
            f"{result.name}_{unit}_per_s", f"{unit}/s", histories * own, result.peer, peer_histories * theirs
        )
        for unit, (own, theirs) in units.items()
    ]


def write_sequences(folder: Path) -> None:
    """Tracks with a long tail, and TARGETS more places than a history has."""
    random = np.random.default_rng(0)
    share = (np.arange(TRACKS) + 10.0) ** -0.7
    shape = (BATCHES, BATCH, LENGTH + TARGETS)
    np.savez(
        folder / SEQUENCES,
        item=random.choice(TRACKS, shape, p=share / share.sum()) + FIRST_CODE,
        negative=random.integers(FIRST_CODE, TRACKS + FIRST_CODE, shape),
        share=np.concatenate([np.zeros(FIRST_CODE), share / share.sum()]),
        width=WIDTH,
        interests=INTERESTS,
        length=LENGTH,
        negatives=MIND_NEGATIVES,
        dropout=DROPOUT,
    )


def examples_per_second(name: str, folder: Path, steps: int) -> tuple[float, float]:
    """Return the rates of a channel of Segue in this process, elapsed and by processor time."""
    made = np.load(folder / SEQUENCES)
    items = torch.from_numpy(made["item"])
    torch.manual_seed(0)
    codes = ItemCodes(
        torch.arange(TRACKS + FIRST_CODE),
        torch.zeros(TRACKS + FIRST_CODE, dtype=torch.int64),
        torch.zeros((TRACKS + FIRST_CODE, 0), dtype=torch.int64),
    )
    is_item_V = np.arange(TRACKS + FIRST_CODE) >= FIRST_CODE
    if name == "self_attention":
        module, batches, examples = _self_attention(items, codes, made["share"], is_item_V, steps)
    else:
        module, batches, examples = _multi_interest(items, codes, made["share"], is_item_V, steps)
    return step_rates.measure_rate(module, batches, examples, steps)


def _self_attention(
    items: torch.Tensor, codes: ItemCodes, share_V: np.ndarray, is_item_V: np.ndarray, steps: int
) -> tuple[Any, list[Any], int]:
    from training.recall.realtime.config import realtime_config
    from training.recall.realtime.model import RealtimeNetwork
    from training.recall.realtime.objective import RealtimeLearner
    from training.recall.window_loss import WindowLoss

    config = change_config(
        realtime_config("small"),
        {
            "items.width": WIDTH,
            "encoder.history_length": LENGTH,
            "encoder.layers": 2,
            "encoder.heads": 2,
            "encoder.dropout": DROPOUT,
            "sampling.batch": BATCH,
            "sampling.positions_per_batch": POSITIONS_PER_BATCH,
            "discovery_share": 0.0,
        },
    )
    config = change_config(config, {"optimizer.steps": step_rates.WARM_UP_STEPS + steps})
    network = RealtimeNetwork(config, codes)

    class Softmax(WindowLoss):
        """Loss of precomputed windows."""

        def __init__(self) -> None:
            self.network, self.sampling, self.loss, self.tasks = network, config.sampling, config.loss, ("next",)
            self.item_loss = SampledSoftmaxLoss(
                network, share_V, is_item_V, config.loss.in_batch_negatives, config.loss.uniform_negatives
            )

    history = items[..., :LENGTH]
    played = torch.full_like(history[0], behaviours.load_behaviours().encoder["full_play"])
    apart, none = torch.full_like(history[0], PLAY_INTERVAL_US), torch.zeros_like(history[0])
    batches = [
        {"item_BL": history[n], "behaviour_BL": played, "gap_BL": apart, "query_gap_BL": apart}
        | {"next_BL": items[n, :, 1 : LENGTH + 1], "new_BL": none}
        for n in range(len(items))
    ]
    return RealtimeLearner(network.train(), config.optimizer, Softmax()), batches, BATCH


def _multi_interest(
    items: torch.Tensor, codes: ItemCodes, share_V: np.ndarray, is_item_V: np.ndarray, steps: int
) -> tuple[Any, list[Any], int]:
    from training.recall.multi_interest.config import multi_interest_config
    from training.recall.multi_interest.model import MultiInterestNetwork
    from training.recall.multi_interest.objective import MultiInterestLearner

    config = change_config(
        multi_interest_config("small"),
        {
            "items.width": WIDTH,
            "encoder.history_length": LENGTH,
            "encoder.interests": INTERESTS,
            "sampling.batch": BATCH,
        },
    )
    config = change_config(
        config, {"sampling.targets_per_window": TARGETS, "optimizer.steps": step_rates.WARM_UP_STEPS + steps}
    )
    network = MultiInterestNetwork(config, codes)

    class Learner(MultiInterestLearner):
        """Module that trains on precomputed windows."""

        def __init__(self) -> None:
            super(MultiInterestLearner, self).__init__()
            self.network, self.settings = network, config
            self._loss = SampledSoftmaxLoss(
                network, share_V, is_item_V, config.loss.in_batch_negatives, config.loss.uniform_negatives
            )

    batches = []
    for item_BL in items:
        listened, following = torch.zeros_like(item_BL), torch.zeros_like(item_BL)
        listened[:, :LENGTH] = item_BL[:, :LENGTH]
        following[:, LENGTH - 1 : -1] = item_BL[:, LENGTH:]
        none = torch.zeros_like(item_BL)
        batches.append({"listened": listened, "next": following, "new": none})
    network.train()
    return Learner(), batches, BATCH * TARGETS


def main() -> None:
    """Measure Segue's channel, in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(PEERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    print(json.dumps({"rates": examples_per_second(options.name, options.folder, options.steps)}))


if __name__ == "__main__":
    main()
