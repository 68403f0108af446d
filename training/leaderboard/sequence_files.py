"""Next-item prediction on the files of S3-Rec: recall channels and baselines on the same requests.

Legend: R requests, K candidates.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.ablations.channel_trial import measure_lists
from training.ablations.table import measure_recall
from training.benchmarks.sequence_dataset import SequenceDataset, read_sequences
from training.benchmarks.sequences import build_config, fit_and_rank
from training.data.ragged import Ragged
from training.engine.config_io import with_seed
from training.evaluation.metrics.bootstrap import Estimate
from training.leaderboard.baselines import BASELINE_CELLS, GROUPS, Group
from training.leaderboard.dataset import Cell, CellResult, Dataset, hash_files, hash_inputs
from training.recall.registry import CHANNELS

CUTOFF = 10
NO_ITEMS = np.zeros(0, dtype=np.int64)
METRICS = (f"recall_at_{CUTOFF}", f"ndcg_at_{CUTOFF}")
TRAIN_ONLY = ", train part only"
NETWORK_ALONE = "realtime_network_alone"
VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    NETWORK_ALONE: ("realtime", ("transitions.is_enabled=false",)),
}
"""Cell → channel and changes of its config, besides the channels themselves."""


@dataclass
class SequenceFile(Dataset):
    """A file of S3-Rec.

    Args:
        path: The file, lines `id item item …`.
        changes: Changes `NAME=VALUE` of the configs, by channel.
    """

    path: Path
    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    main_metric: ClassVar[str] = f"recall_at_{CUTOFF}/all"
    protocol: ClassVar[str] = (
        "Leave-one-out: the last item of a user is test, the one before it validation; recall@10 and NDCG@10 over all "
        "items of the file. Items of the history are no candidates, unless the file has repeats. Channels and baselines "
        "are fitted twice: on the train part (`train part only`), where they are tuned on the validation items, and again "
        "with the validation items and the chosen hyperparameters."
    )

    def find_missing(self) -> str:
        """A missing file."""
        return "" if self.path.is_file() else f"no file {self.path}; name its folder with DATA"

    def cells(self) -> tuple[Cell, ...]:
        """Groups of baselines, channels and VARIANTS."""
        channels = [*CHANNELS, *VARIANTS]
        return BASELINE_CELLS + tuple(
            Cell(name, is_baseline=False, is_random=hasattr(self._config(name, False), "seed")) for name in channels
        )

    def inputs(self, cell: Cell, seed: int) -> dict[str, Any]:
        """File, config and seed."""
        config = {} if cell.is_baseline else asdict(self._config(cell.name, False))
        return hash_inputs({"file": hash_files(self.path), "cell": cell.name, "config": config, "seed": seed})

    def measure(self, cell: Cell, seed: int, folder: Path) -> CellResult:
        """Rows of a channel or baseline are the refitted one and the one of the train part."""
        sequences = read_sequences(self.path)
        with tempfile.TemporaryDirectory(prefix="segue-leaderboard-") as temporary:
            world = SequenceDataset.build(sequences, Path(temporary) / "marts")
            final = SequenceDataset.build(sequences, Path(temporary) / "final", is_final=True)
            if cell.is_baseline:
                group = GROUPS[cell.name](world.data, CUTOFF)
                alone = {f"{name}{TRAIN_ONLY}": table for name, table in _measure_baselines(group, world).items()}
                return CellResult(_measure_baselines(group.on(final.data), final) | alone, {})
            channel, _ = VARIANTS.get(cell.name, (cell.name, ()))
            config = with_seed(self._config(cell.name, world.has_repeats), seed)
            description = f"{self.name} {cell.name} seed {seed}"
            fitted, ranks = fit_and_rank(
                CHANNELS[channel], world, final, config, folder / "checkpoints", ("test",), description
            )
        names = {"test": cell.name, "test_without_refit": f"{cell.name}{TRAIN_ONLY}"}
        tables = {names[part]: _rank_table(rank_R, world) for part, rank_R in ranks.items()}
        return CellResult(tables, {"resolved_config": asdict(fitted.resolved_config)})

    def estimates(self, table: pl.DataFrame) -> dict[str, Estimate]:
        """Recall and NDCG of all, repeated and new targets."""
        return measure_recall(table)

    def _config(self, name: str, repeats: bool) -> Any:
        channel, changes = VARIANTS.get(name, (name, ()))
        return build_config(CHANNELS[channel], repeats, [*self.changes.get(channel, ()), *changes])


class LastFM(SequenceFile):
    """S3-Rec's LastFM."""

    name = "lastfm"
    title = "LastFM (S3-Rec's file): next artist"
    published: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "SASRec": {"recall_at_10": 0.0688, "ndcg_at_10": 0.0390},
        "BERT4Rec": {"recall_at_10": 0.0633, "ndcg_at_10": 0.0337},
        "S3-Rec": {"recall_at_10": 0.0743, "ndcg_at_10": 0.0427},
        "BSARec": {"recall_at_10": 0.0807, "ndcg_at_10": 0.0435},
    }


class Beauty(SequenceFile):
    """S3-Rec's Beauty."""

    name = "beauty"
    title = "Amazon Beauty (S3-Rec's file): next product"
    published: ClassVar[Mapping[str, Mapping[str, float]]] = {
        "SASRec": {"recall_at_10": 0.0605, "ndcg_at_10": 0.0318},
        "SASRec with sampled softmax": {"recall_at_10": 0.0921, "ndcg_at_10": 0.0531},
        "eSASRec": {"recall_at_10": 0.0928, "ndcg_at_10": 0.0523},
        "BSARec": {"recall_at_10": 0.1008, "ndcg_at_10": 0.0611},
    }


def _measure_baselines(group: Group, world: SequenceDataset) -> dict[str, pl.DataFrame]:
    """Metrics of each baseline of a group that was fitted on the data of `world`."""
    requests, cases = world.test, world.data.recall_cases("test")
    history_of_user = dict(zip(requests.user_ids, requests.histories, strict=True))
    histories = [history_of_user[user] if not world.has_repeats else NO_ITEMS for user in cases.user_ids.tolist()]
    # As for channels, a list has as many further items as may be removed from it.
    length_C = [len(items) for items in histories]
    lists = group.recall(cases, CUTOFF + max(length_C, default=0))
    history = Ragged.of(np.concatenate([*histories, NO_ITEMS]), np.repeat(np.arange(len(cases)), length_C), len(cases))
    return {name: measure_lists(_remove(items_CK, history), cases, METRICS) for name, items_CK in lists.items()}


def _remove(items_CK: NDArray[np.int64], history: Ragged) -> NDArray[np.int64]:
    """The first CUTOFF items that are not in the history, padded with 0."""
    is_removed_CK = (items_CK == 0) | history.contains(items_CK)
    order_CK = np.argsort(is_removed_CK, axis=1, kind="stable")[:, :CUTOFF]
    kept_CK = np.where(is_removed_CK, 0, items_CK)
    return np.take_along_axis(kept_CK, order_CK, axis=1)


def _rank_table(rank_R: NDArray[np.float64], world: SequenceDataset) -> pl.DataFrame:
    """One row per request with `user` and `<metric>/<part>`, as `measure_lists` with one target each."""
    requests = world.test
    is_hit_R = rank_R < CUTOFF
    gain_R = np.where(is_hit_R, 1 / np.log2(rank_R + 2), 0.0)
    pairs = zip(requests.target_R.tolist(), requests.histories, strict=True)
    is_repeat_R = np.array([target in history for target, history in pairs], dtype=bool)
    masks = {"all": np.ones(len(rank_R), dtype=bool), "repeat": is_repeat_R, "discovery": ~is_repeat_R}
    values = dict(zip(METRICS, (is_hit_R.astype(np.float64), gain_R), strict=True))
    columns = {
        f"{metric}/{part}": np.where(mask_R, value_R, np.nan)
        for metric, value_R in values.items()
        for part, mask_R in masks.items()
    }
    return pl.DataFrame({"user": np.arange(len(rank_R))} | columns)
