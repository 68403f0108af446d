"""Last.FM (HetRec 2011) with a knowledge graph: AUC and F1 of likes, by the protocol of KGCN.

KGCN (Wang, Zhao, Xie, Li, Guo, "Knowledge Graph Convolutional Networks for Recommender Systems", WWW 2019, arXiv
1904.12575): every play count is a like, the same number of items without plays is sampled as dislikes, pairs are split
6 : 2 : 2 at random. A seed determines dislikes, split and initial weights. Everything is chosen on the eval split; test
is scored once. `mcclk` is the same on MCCLK's file, which contains sampled dislikes. Popularity (the number of likes in
train) is reported as a baseline: it is strong, because dislikes are sampled uniformly.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score, roc_auc_score
from tqdm import tqdm

from research.public_data import format_mean_std, summarize_seeds
from research.public_data.light_gcn import LabeledPairs, LightGCN, LightGCNConfig, fit_light_gcn
from training.process import configure_threads

PUBLISHED = {
    "kgcn": {"RippleNet": (0.780, 0.702), "KGCN": (0.796, 0.721)},
    "mcclk": {"KGIN": (0.849, 0.760), "MCCLK": (0.876, 0.801)},
}
"""Published AUC and F1; those on MCCLK's file are quoted from MCCLK and were not reproduced."""


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of the splits with logits; test is scored once."""

    liked: LabeledPairs  # likes of the train split
    evaluation: LabeledPairs
    test: LabeledPairs
    eval_auc: float
    evaluation_logit_P: np.ndarray
    test_logit_P: np.ndarray


METRICS = ("auc", "f1", "f1_at_chosen", "popularity_auc")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument("--folder", type=Path, required=True, help="folder of user_artists.dat, kg.txt …")
    parser.add_argument("--seeds", type=int, default=3)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run all protocols; print and return mean, standard deviation and all seeds of AUC and F1.

    Raises:
        FileNotFoundError: A file of the benchmark is missing.
        ValueError: The number of seeds is below 1.
    """
    if options.seeds < 1:
        raise ValueError(f"--seeds {options.seeds} is too small; use at least 1")
    configure_threads()
    config = LightGCNConfig()
    triples = read_triples(options.folder / "kg.txt")
    result: dict[str, Any] = {"config": asdict(config), "seeds": options.seeds}
    for protocol, published in PUBLISHED.items():
        runs = []
        for seed in range(options.seeds):
            pairs = _pairs(options.folder, protocol, seed)
            runs.append(run_seed(pairs, triples, config, seed, f"{protocol} seed {seed}"))
        result[protocol] = summarize_seeds(runs) | {"published": published}
        print(format_table(protocol, result[protocol]), flush=True)
    return result


def run_seed(
    pairs: LabeledPairs, triples_T2: np.ndarray, config: LightGCNConfig, seed: int, description: str
) -> dict[str, float]:
    """Metrics of `fit_and_score`."""
    fitted, items = fit_and_score(pairs, triples_T2, config, seed, description), int(pairs.item_P.max()) + 1
    label_P, logit_P = fitted.test.label_P, fitted.test_logit_P
    threshold = best_f1_threshold(fitted.evaluation_logit_P, fitted.evaluation.label_P)
    liked_I = np.bincount(fitted.liked.item_P, minlength=items)
    return {
        "eval_auc": fitted.eval_auc,
        "auc": float(roc_auc_score(label_P, logit_P)),
        "f1": float(f1_score(label_P, logit_P >= 0)),
        "f1_at_chosen": float(f1_score(label_P, logit_P >= threshold)),
        "popularity_auc": float(roc_auc_score(label_P, liked_I[fitted.test.item_P])),
    }


def fit_and_score(
    pairs: LabeledPairs, triples_T2: np.ndarray, config: LightGCNConfig, seed: int, description: str
) -> ScoredPairs:
    """Split, fit, and score the eval and test pairs."""
    train, evaluation, test = split(pairs, seed)
    users, items = int(pairs.user_P.max()) + 1, int(pairs.item_P.max()) + 1
    entities = max(items, int(triples_T2.max()) + 1)
    liked = train.take(np.flatnonzero(train.label_P == 1))
    torch.manual_seed(seed)
    network = LightGCN(users, entities, np.stack([liked.user_P, liked.item_P], axis=1), triples_T2, config)
    with tqdm(total=config.epochs, desc=description, unit="epoch", mininterval=1, disable=None) as bar:

        def update_progress(epoch: int, value: float | None) -> None:
            bar.update(epoch - bar.n)
            if value is not None:
                bar.set_postfix(eval_auc=f"{value:.4f}")

        def validate() -> float:
            return float(roc_auc_score(evaluation.label_P, network.score(evaluation)))

        eval_auc = fit_light_gcn(network, train, items, seed, validate, update_progress)
    return ScoredPairs(liked, evaluation, test, eval_auc, network.score(evaluation), network.score(test))


def format_table(protocol: str, summary: dict[str, Any]) -> str:
    """The result as text."""
    lines = [f"{protocol} ({len(summary['runs'])} seeds)"]
    for name in METRICS:
        lines.append(f"  {name:16} {format_mean_std(summary[name])}")
    lines += [f"  {name:16} AUC {auc:.3f}  F1 {f1:.3f} (published)" for name, (auc, f1) in summary["published"].items()]
    return "\n".join(lines)


def read_triples(path: Path) -> np.ndarray:
    """Distinct pairs (head, tail) [T, 2] of a tab-separated file `head relation tail`.

    Items have the numbers of `item_index2entity_id.txt`: 0.. in the order of its lines.
    """
    rows = [line.split("\t") for line in _lines(path)]
    return np.unique(np.array([(int(head), int(tail)) for head, _, tail in rows], dtype=np.int64), axis=0)


def kgcn_pairs(folder: Path, seed: int) -> LabeledPairs:
    """All played artists of the knowledge graph as likes, and the same number of sampled dislikes per user."""
    entity = dict(line.split() for line in _lines(folder / "item_index2entity_id.txt"))
    items = np.sort(np.array([int(number) for number in entity.values()]))
    played: dict[int, set[int]] = {}
    for line in _lines(folder / "user_artists.dat")[1:]:
        user, artist, _ = line.split("\t")
        if artist in entity:
            played.setdefault(int(user), set()).add(int(entity[artist]))
    random = np.random.default_rng(seed)
    users, sampled, labels = [], [], []
    for number, (_, artists) in enumerate(sorted(played.items())):
        liked = np.array(sorted(artists))
        disliked = random.choice(np.setdiff1d(items, liked), size=len(liked), replace=False)
        users.append(np.full(2 * len(liked), number))
        sampled.append(np.concatenate([liked, disliked]))
        labels.append(np.repeat([1, 0], len(liked)))
    return LabeledPairs(*(np.concatenate(part).astype(np.int64) for part in (users, sampled, labels)))


def mcclk_pairs(folder: Path) -> LabeledPairs:
    """Pairs of MCCLK's file."""
    rows = np.loadtxt(_require_file(folder / "mcclk_ratings_final.txt"), dtype=np.int64)
    return LabeledPairs(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy())


def split(pairs: LabeledPairs, seed: int) -> tuple[LabeledPairs, LabeledPairs, LabeledPairs]:
    """Random split into train, eval and test, 6 : 2 : 2."""
    order = np.random.default_rng([seed, 1]).permutation(len(pairs))
    fifth = len(order) // 5
    return pairs.take(order[2 * fifth :]), pairs.take(order[:fifth]), pairs.take(order[fifth : 2 * fifth])


def best_f1_threshold(logit_P: np.ndarray, label_P: np.ndarray) -> float:
    """Threshold of the logit with the best F1 on these pairs."""
    order = np.argsort(-logit_P, kind="stable")
    true_positives = np.cumsum(label_P[order])
    f1 = 2 * true_positives / (np.arange(1, len(order) + 1) + label_P.sum())
    return float(logit_P[order[int(f1.argmax())]])


def _pairs(folder: Path, protocol: str, seed: int) -> LabeledPairs:
    return kgcn_pairs(folder, seed) if protocol == "kgcn" else mcclk_pairs(folder)


def _lines(path: Path) -> list[str]:
    return _require_file(path).read_text(encoding="utf-8").splitlines()


def _require_file(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"no {path.name} in {path.parent}; give --folder the folder of the Last.FM files")
    return path
