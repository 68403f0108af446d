"""Next-item prediction on plain sequences: recall, NDCG and MRR of a recall channel on the full catalog.

The channel is one of `training.recall` with CHANGES of its recipe `small`; the file is converted to marts. The channel is
fitted on the items before the validation item, and hyperparameters (steps, linear transitions …) are chosen on the
validation item. Then it is fitted again with the chosen values, including the validation items, and evaluated on test
once, with everything before the test item as history; `--no-refit` evaluates the first fit, as the code of BSARec does.
The result has both. All items of the file are candidates except, as in that code, items of the user's history, unless
the training sequences contain repeats.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from research.public_data import format_mean_std, summarize_seeds
from research.public_data.sequence_dataset import Requests, SequenceDataset, read_attributes, read_sequences
from training.data.recall_cases import iterate_chunks
from training.data.user_batch import OfflineFeatures
from training.engine.config_io import change_config, with_seed
from training.engine.threads import configure_threads
from training.recall.channel import RecallChannel
from training.recall.registry import CHANNELS

CUTOFFS = (5, 10, 20)
CHANGES: dict[str, dict[str, Any]] = {
    "realtime": {
        "items.min_plays": 1,
        "items.item_dropout": 0.5,
        "encoder.block": "gated",
        "encoder.history_length": 50,
        "encoder.layers": 1,
        "sampling.horizon": 1,
        "sampling.window_kind": "full",
        "sampling.length_bucketing": True,
        "loss.softmax": "full",
        "loss.discovery_weight": 1.0,
        "optimizer.learning_rate": 1e-2,
        "optimizer.steps": 2000,
        "optimizer.max_passes": None,
        "validation.validate_every": 250,
        "validation.cases_per_user": 1,
        "validation.max_cases": 2000,
        "validation.eval_cutoffs": (10, 20),
        "transitions.is_enabled": True,
        "discovery_share": 0.0,
    },
    "long_short": {
        "items.min_plays": 1,
        "repeats.max_repeat_items": 200,
        "sampling.min_history_plays": 2,
        "optimizer.steps": 600,
        "optimizer.max_passes": None,
        "validation.validate_every": 100,
        "validation.cases_per_user": 1,
    },
}
"""Changes of the recipe `small` for plain sequences, by channel."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--file", type=Path, required=True, help="lines `id item item …`, oldest first")
    parser.add_argument("--test", type=Path, help="lines `item item …<TAB>target`; default: leave-one-out")
    parser.add_argument("--attributes", type=Path, help="JSON {item: [attribute, …]}, facets of the items")
    parser.add_argument("--channel", choices=sorted(CHANNELS), required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--part", choices=("validation", "test"), default="test", help="validation: do not evaluate test"
    )
    parser.add_argument("--no-refit", action="store_true", help="do not fit on the validation items")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a field of the config")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Print and return mean, standard deviation and all seeds of each metric, for validation and `--part`.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A line of a file, a changed field or the number of seeds is invalid.
    """
    if options.seeds < 1:
        raise ValueError(f"--seeds {options.seeds} is too small; use at least 1")
    configure_threads()
    channel = CHANNELS[options.channel]
    sequences = read_sequences(options.file, options.test)
    attributes = read_attributes(options.attributes, sequences.items) if options.attributes else None
    config = build_config(channel, sequences.has_repeats, options.set)
    result: dict[str, Any] = {
        "channel": channel.name,
        "config": asdict(config),
        "users": len(sequences.train),
        "items": len(sequences.items),
        "requests": len(sequences.test),
        "heard_are_candidates": sequences.has_repeats,
        "attributes": attributes is not None,
    }
    result["refit"] = refits = options.part == "test" and not options.no_refit
    result["resolved_configs"] = []
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="segue-sequences-") as folder:
        world = SequenceDataset.build(sequences, Path(folder) / "marts", attributes)
        final = SequenceDataset.build(sequences, Path(folder) / "final", attributes, is_final=True) if refits else None
        for seed in range(options.seeds):
            description = f"{channel.name} seed {seed}"
            parts = ("validation", *(("test",) if options.part == "test" else ()))
            fitted, ranks = fit_and_rank(
                channel, world, final, with_seed(config, seed), Path(folder) / f"seed-{seed}", parts, description
            )
            metrics_by_part = {part: metrics(rank_R) for part, rank_R in ranks.items()}
            for part, values in metrics_by_part.items():
                runs.setdefault(part, []).append(values)
            summary = ", ".join(f"{part} {_short_metrics(values)}" for part, values in metrics_by_part.items())
            print(f"{description}: {summary}", flush=True)
            result["resolved_configs"].append(asdict(fitted.resolved_config))
            config = change_config(
                config, {path: get_field(fitted.resolved_config, path) for path in channel.seed_independent_fields}
            )
    for part, part_runs in runs.items():
        result[part] = summarize_seeds(part_runs)
        print(format_table(part, result[part]), flush=True)
    return result


def fit_and_rank(
    channel: type[RecallChannel],
    world: SequenceDataset,
    final: SequenceDataset | None,
    config: Any,
    folder: Path,
    parts: Sequence[str],
    description: str,
) -> tuple[RecallChannel, dict[str, np.ndarray]]:
    """Fit a channel and rank the targets of some parts.

    Args:
        channel: Channel to fit.
        world: Data of the first fit.
        final: The same data with the validation items, for the second fit; None: there is none.
        config: Config of the first fit; the second has the resolved one.
        folder: Folder of checkpoints.
        parts: Parts to rank, of `validation` and `test`.
        description: Text of the progress bars.

    Returns:
        The channel of the first fit, and `target_ranks` by part. With a second fit, `test` has the ranks of that one and
        `test_without_refit` those of the first.
    """
    fitted = channel.fit(world.data, config, folder)
    ranks = {}
    for part in parts:
        name = "test_without_refit" if part == "test" and final is not None else part
        requests: Requests = getattr(world, part)
        ranks[name] = target_ranks(fitted, world, requests, not world.has_repeats, f"{description}, {part}")
    if final is not None:
        again = channel.fit(final.data, fitted.resolved_config, folder.with_name(f"{folder.name}-final"))
        text = f"{description}, refitted, test"
        ranks["test"] = target_ranks(again, final, final.test, not final.has_repeats, text)
    return fitted, ranks


def build_config(channel: type[RecallChannel], repeats: bool, changes: list[str]) -> Any:
    """The channel's config for plain sequences, with `NAME=VALUE` changes.

    Raises:
        ValueError: A name is unknown or ambiguous, or a value has the wrong type.
    """
    config = change_config(channel.config("small"), CHANGES.get(channel.name, {}))
    paths = field_paths(config)
    if not repeats and "discovery_share" in paths:
        # No user returns to an item, so all candidates have to be new to the user.
        config = change_config(config, {"discovery_share": 1.0})
    for change in changes:
        name, _, text = change.partition("=")
        matches = [path for path in paths if path == name or path.endswith(f".{name}")]
        if len(matches) != 1:
            raise ValueError(f"--set {change}: {channel.name} has no {name!r}; it has {', '.join(sorted(paths))}")
        config = change_config(config, {matches[0]: _parse_value(change, text, get_field(config, matches[0]))})
    return config


def target_ranks(
    channel: RecallChannel, world: SequenceDataset, requests: Requests, exclude_history: bool, description: str
) -> np.ndarray:
    """Rank of the target of each request [R], starting at 0; infinite beyond the last cutoff.

    With `exclude_history`, items of the history are not candidates.
    """
    features, depth = OfflineFeatures(world.data), max(CUTOFFS)
    rank_R = np.full(len(requests), np.inf)
    with tqdm(total=len(requests), desc=description, unit="request", mininterval=1, disable=None) as bar:
        for rows in iterate_chunks(len(requests)):
            excluded = [requests.histories[row] if exclude_history else requests.histories[row][:0] for row in rows]
            users = features.load_user_batch(
                channel.feature_service, [requests.user_ids[row] for row in rows], requests.request_at_R[rows]
            )
            items_BK = channel.recall(users, depth + max(len(items) for items in excluded)).items_BK
            for row, items_K, history in zip(rows, items_BK, excluded, strict=True):
                candidates = items_K[(items_K > 0) & ~np.isin(items_K, history)][:depth]
                position = np.flatnonzero(candidates == requests.target_R[row])
                if len(position):
                    rank_R[row] = position[0]
            bar.update(len(rows))
    return rank_R


def metrics(rank_R: np.ndarray) -> dict[str, float]:
    """Recall, NDCG and MRR at each cutoff, with one target per request."""
    values = {}
    for k in CUTOFFS:
        is_hit_R = rank_R < k
        values[f"recall_at_{k}"] = float(is_hit_R.mean())
        values[f"ndcg_at_{k}"] = float(np.where(is_hit_R, 1 / np.log2(rank_R + 2), 0).mean())
        values[f"mrr_at_{k}"] = float(np.where(is_hit_R, 1 / (rank_R + 1), 0).mean())
    return values


def format_table(part: str, summary: dict[str, Any]) -> str:
    """The result as text."""
    lines = [f"{part} ({len(summary['runs'])} seeds)"]
    lines += [f"  {name:16} {format_mean_std(summary[name])}" for name in summary["runs"][0]]
    return "\n".join(lines)


def field_paths(config: Any) -> list[str]:
    """Return the dotted paths of all fields, in order; nested configs are listed by their own fields."""
    paths = []
    for field in fields(config):
        value = getattr(config, field.name)
        inner = field_paths(value) if is_dataclass(value) else []
        paths += [f"{field.name}.{path}" for path in inner] or [field.name]
    return paths


def get_field(config: Any, path: str) -> Any:
    """Return the value at a dotted path."""
    return reduce(getattr, path.split("."), config)


def _short_metrics(run: dict[str, float]) -> str:
    return f"recall@10 {run['recall_at_10']:.4f} ndcg@10 {run['ndcg_at_10']:.4f}"


def _parse_value(change: str, text: str, current: Any) -> Any:
    """`text` converted to the type of the current value."""
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(current)(text) if isinstance(current, int | float | str) else _parse_number(text)
    except (KeyError, ValueError) as error:
        raise ValueError(f"--set {change}: {text!r} does not have the type of the current value {current!r}") from error


def _parse_number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
