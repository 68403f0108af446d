"""Next item of plain sequences: recall, NDCG and MRR of a recall channel on the full catalogue.

The channel is the one of `training.recall`, with its recipe `sequences`; the file becomes the tables that it learns
from. Learned from: what comes before the validation item, that alone. Chosen (steps, linear transitions …): on the
item before the last one, or before the test file's. Then the channel learns anew with what was chosen, from the
validation items as well, and is asked for test once, with everything before it as history; `--no-refit` asks what was
learned without them, as the code of BSARec does. Both stand in the result. Every item of the file is a candidate; as in
that code what was heard before is not, unless somebody comes back to an item in what is learned from: then a repeat may
be the answer.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from training.benchmarks.seed_summary import format_mean_std, summarize_seeds
from training.benchmarks.sequence_dataset import Requests, SequenceDataset
from training.benchmarks.sequence_file import read_attributes, read_sequences
from training.data.recall_at_k import iterate_chunks
from training.data.user_batch import OfflineFeatures
from training.engine import trainer
from training.engine.config_io import change_config, field_paths, get_field
from training.recall import CHANNELS, RecallChannel

CUTOFFS = (5, 10, 20)
RECIPE = "sequences"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files, the channel, and how often to repeat."""
    parser.add_argument("--file", type=Path, required=True, help="lines `id item item …`, oldest first")
    parser.add_argument("--test", type=Path, help="lines `item item …<TAB>target`; default: leave one out")
    parser.add_argument("--attributes", type=Path, help="JSON {item: [attribute, …]}, facets of the items")
    parser.add_argument("--channel", choices=sorted(CHANNELS), required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", choices=("validation", "test"), default="test", help="validation: leave test alone")
    parser.add_argument("--no-refit", action="store_true", help="never learn from the validation items")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another number in the config")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Prints and returns mean, standard deviation and every seed of each metric, for validation and for `--part`.

    Raises:
        FileNotFoundError: a file is missing. ValueError: a line of one is wrong, the config has no such number, or no
        seed is asked for.
    """
    if options.seeds < 1:
        raise ValueError(f"--seeds {options.seeds} gives no result; ask for at least 1")
    trainer.configure_threads()
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
    result["settled"] = []
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="segue-sequences-") as folder:
        world = SequenceDataset.build(sequences, Path(folder) / "marts", attributes)
        final = SequenceDataset.build(sequences, Path(folder) / "final", attributes, is_final=True) if refits else None
        for seed in range(options.seeds):
            what = f"{channel.name} seed {seed}"
            fitted = fit_channel(channel, world, _with_seed(config, seed), Path(folder) / f"seed-{seed}")
            found = {"validation": evaluate_part(fitted, world, "validation", sequences.has_repeats, what)}
            if options.part == "test":
                name = "test_without_refit" if refits else "test"
                found[name] = evaluate_part(fitted, world, "test", sequences.has_repeats, what)
            if final is not None:
                again = fit_channel(channel, final, fitted.resolved_config, Path(folder) / f"final-{seed}")
                found["test"] = evaluate_part(again, final, "test", sequences.has_repeats, f"{what}, refitted")
            for part, one in found.items():
                runs.setdefault(part, []).append(one)
            print(f"{what}: " + ", ".join(f"{part} {_short_metrics(one)}" for part, one in found.items()), flush=True)
            result["settled"].append(asdict(fitted.resolved_config))
            config = change_config(
                config, {path: get_field(fitted.resolved_config, path) for path in channel.seed_independent_fields}
            )
    for part, of_part in runs.items():
        result[part] = summarize_seeds(of_part)
        print(format_table(part, result[part]), flush=True)
    return result


def evaluate_part(
    channel: RecallChannel, world: SequenceDataset, part: str, repeats: bool, what: str
) -> dict[str, float]:
    """The metrics of a part's requests; without `repeats` what was heard takes no place."""
    requests: Requests = getattr(world, part)
    return metrics(target_ranks(channel, world, requests, not repeats, f"{what}, {part}"))


def build_config(channel: type[RecallChannel], repeats: bool, changes: list[str]) -> Any:
    """The channel's config for plain sequences, with `NAME=VALUE` changes.

    Raises:
        ValueError: there is no such number, or the value is not of its kind.
    """
    config = channel.config(RECIPE)
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


def fit_channel(channel: type[RecallChannel], world: SequenceDataset, config: Any, folder: Path) -> RecallChannel:
    """The channel, fitted.

    Raises:
        KeyboardInterrupt: somebody pressed Ctrl-C.
    """
    try:
        return channel.fit(world.data, config, folder)
    except SystemExit as end:
        # Lightning answers Ctrl-C by leaving the process; this command has a word to say first.
        raise KeyboardInterrupt from end


def target_ranks(
    channel: RecallChannel, world: SequenceDataset, asked: Requests, leave_heard: bool, what: str
) -> np.ndarray:
    """Place of each request's target among the candidates [R], 0 the first; infinite beyond the last cutoff.

    `leave_heard`: items heard before the request take no place.
    """
    features, most = OfflineFeatures(world.data), max(CUTOFFS)
    found_R = np.full(len(asked), np.inf)
    with tqdm(total=len(asked), desc=what, unit="request", mininterval=1, disable=None) as bar:
        for rows in iterate_chunks(len(asked)):
            heard = [asked.histories[row] if leave_heard else asked.histories[row][:0] for row in rows]
            users = features.load_user_batch(
                channel.feature_service, [asked.user_ids[row] for row in rows], asked.request_at_R[rows]
            )
            items_BK = channel.recall(users, most + max(len(items) for items in heard)).items_BK
            for row, items_K, left in zip(rows, items_BK, heard, strict=True):
                kept = items_K[(items_K > 0) & ~np.isin(items_K, left)][:most]
                place = np.flatnonzero(kept == asked.target_R[row])
                if len(place):
                    found_R[row] = place[0]
            bar.update(len(rows))
    return found_R


def metrics(rank_R: np.ndarray) -> dict[str, float]:
    """Recall, NDCG and MRR at each cutoff, of one target a request."""
    found = {}
    for k in CUTOFFS:
        is_hit_R = rank_R < k
        found[f"recall_at_{k}"] = float(is_hit_R.mean())
        found[f"ndcg_at_{k}"] = float(np.where(is_hit_R, 1 / np.log2(rank_R + 2), 0).mean())
        found[f"mrr_at_{k}"] = float(np.where(is_hit_R, 1 / (rank_R + 1), 0).mean())
    return found


def format_table(part: str, found: dict[str, Any]) -> str:
    """The result for a person."""
    lines = [f"{part} ({len(found['runs'])} seeds)"]
    lines += [f"  {name:16} {format_mean_std(found[name])}" for name in found["runs"][0]]
    return "\n".join(lines)


def _short_metrics(run: dict[str, float]) -> str:
    return f"recall@10 {run['recall_at_10']:.4f} ndcg@10 {run['ndcg_at_10']:.4f}"


def _with_seed(config: Any, seed: int) -> Any:
    return change_config(config, {"seed": seed}) if "seed" in field_paths(config) else config


def _parse_value(change: str, text: str, present: Any) -> Any:
    """`text` as the kind of value that `present` is."""
    try:
        if isinstance(present, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(present)(text) if isinstance(present, int | float | str) else _parse_number(text)
    except (KeyError, ValueError) as error:
        raise ValueError(f"--set {change}: {text!r} is not like the present {present!r}") from error


def _parse_number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
