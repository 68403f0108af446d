"""Last.FM with a knowledge graph by the protocol of KGCN: the network and collaborative filtering on the same pairs.

Legend: P pairs, T liked items of one user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from training.benchmarks import knowledge_graph as benchmark
from training.benchmarks.light_gcn import LabeledPairs, LightGCNConfig
from training.engine.threads import configure_threads
from training.evaluation.baselines.listen_matrix import ListenMatrix
from training.evaluation.baselines.tuned import (
    BASELINES,
    BaselineConfig,
    FittedBaseline,
    describe_config,
    tune_in_stages,
)
from training.evaluation.metrics import ranking_metrics
from training.evaluation.metrics.bootstrap import Estimate
from training.leaderboard.dataset import Cell, CellResult, Dataset, hash_files, hash_inputs

LIGHT_GCN, FILTERS = "light_gcn", "collaborative_filtering"
FILES = ("user_artists.dat", "kg.txt", "item_index2entity_id.txt")


@dataclass
class LastFMGraph(Dataset):
    """Last.FM (HetRec 2011) with the knowledge graph of KGCN.

    Args:
        folder: Folder of FILES.
        config: Config of the network.
    """

    folder: Path
    config: LightGCNConfig = field(default_factory=LightGCNConfig)
    name: ClassVar[str] = "lastfm_knowledge_graph"
    title: ClassVar[str] = "Last.FM with a knowledge graph (KGCN): likes"
    main_metric: ClassVar[str] = "auc/all"
    protocol: ClassVar[str] = (
        "Every play count is a like, as many items without plays are sampled as dislikes, pairs are split 6 : 2 : 2 at "
        "random; the seed determines dislikes, split and initial weights. AUC over all test pairs; GAUC by user, weighted "
        "by pairs. Everything is chosen on the eval split. The graph has no order of plays, so all pairs are new items, and "
        "channels that read sequences are not measured."
    )
    published: ClassVar[Mapping[str, Mapping[str, float]]] = {
        model: {"auc": auc} for model, (auc, _) in benchmark.PUBLISHED["kgcn"].items()
    }

    def find_missing(self) -> str:
        """A missing file."""
        missing = [name for name in FILES if not (self.folder / name).is_file()]
        return f"no {missing[0]} in {self.folder}; name its folder with DATA" if missing else ""

    def cells(self) -> tuple[Cell, ...]:
        """Network, and baselines; the seed determines the split of both."""
        return Cell(FILTERS, is_baseline=True, is_random=True), Cell(LIGHT_GCN, is_baseline=False, is_random=True)

    def inputs(self, cell: Cell, seed: int) -> dict[str, Any]:
        """Files, config and seed."""
        config = asdict(self.config) if cell.name == LIGHT_GCN else {}
        files = hash_files(*(self.folder / name for name in FILES))
        return hash_inputs({"files": files, "cell": cell.name, "config": config, "seed": seed})

    def measure(self, cell: Cell, seed: int, folder: Path) -> CellResult:
        """Scores of the test pairs."""
        del folder  # takes minutes, no checkpoints
        configure_threads()
        pairs = benchmark.kgcn_pairs(self.folder, seed)
        if cell.name == LIGHT_GCN:
            triples = benchmark.read_triples(self.folder / "kg.txt")
            description = f"{self.name} seed {seed}"
            fitted = benchmark.fit_and_score(pairs, triples, self.config, seed, description)
            return CellResult({LIGHT_GCN: score_table(fitted.test, fitted.test_logit_P)}, {})
        train, evaluation, test = benchmark.split(pairs, seed)
        scores, chosen = score_baselines(train, evaluation, test, int(pairs.item_P.max()) + 1)
        return CellResult({name: score_table(test, score_P) for name, score_P in scores.items()}, {"chosen": chosen})

    def estimates(self, table: pl.DataFrame) -> dict[str, Estimate]:
        """AUC and GAUC; samples are of all users of the file, because the users with test pairs differ between seeds."""
        label_P, probability_P, user_P = (table[name].to_numpy() for name in ("label", "probability", "user"))
        metrics = ranking_metrics.measure(label_P, probability_P, user_P, all_users=self._users)
        return {f"{name}/all": metrics[name] for name in ("auc", "gauc")}

    @cached_property
    def _users(self) -> int:
        """Number of users, which is the same for all seeds."""
        return int(benchmark.kgcn_pairs(self.folder, 0).user_P.max(initial=-1)) + 1


def score_table(pairs: LabeledPairs, score_P: NDArray[np.floating[Any]]) -> pl.DataFrame:
    """Columns `user`, `label` and `probability`: the share of pairs with a lower score, which has the same AUC."""
    share_P = (rankdata(score_P) - 0.5) / max(len(score_P), 1)
    return pl.DataFrame({"user": pairs.user_P, "label": pairs.label_P.astype(np.float32), "probability": share_P})


def score_baselines(
    train: LabeledPairs, evaluation: LabeledPairs, test: LabeledPairs, items: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Scores of the test pairs by popularity and by each of BASELINES, and the parameters chosen on the eval split."""
    liked = train.take(np.flatnonzero(train.label_P == 1))
    users = max(int(part.user_P.max(initial=0)) for part in (train, evaluation, test)) + 1
    likes_V = np.bincount(liked.item_P, minlength=items)
    tracks_I = np.argsort(-likes_V, kind="stable")[: np.count_nonzero(likes_V)]
    column_V = np.full(items, -1, dtype=np.int64)
    column_V[tracks_I] = np.arange(len(tracks_I))
    cells = np.ones(len(liked), np.float32), (liked.user_P, column_V[liked.item_P])
    listens = ListenMatrix(csr_array(cells, shape=(users, len(tracks_I))), tracks_I, column_V)
    scores = {"popularity": likes_V[test.item_P].astype(np.float32)}

    def evaluation_auc(config: BaselineConfig) -> float:
        return float(roc_auc_score(evaluation.label_P, _score_pairs(config.fit(listens), listens, evaluation)))

    chosen, _ = tune_in_stages(BASELINES, lambda configs: [evaluation_auc(config) for config in configs], float)
    scores |= {name: _score_pairs(config.fit(listens), listens, test) for name, config in chosen.items()}
    return scores, {name: describe_config(config) for name, config in chosen.items()}


def _score_pairs(model: FittedBaseline, listens: ListenMatrix, pairs: LabeledPairs) -> NDArray[np.float32]:
    """Scores [P]; 0 for users and items without likes."""
    score_P, column_P = np.zeros(len(pairs), dtype=np.float32), listens.column_V[pairs.item_P]
    begin_U1, columns = listens.counts_UI.indptr, listens.counts_UI.indices.astype(np.int64)
    for user in np.unique(pairs.user_P):
        liked_T = columns[begin_U1[user] : begin_U1[user + 1]]
        rows = np.flatnonzero((pairs.user_P == user) & (column_P >= 0))
        if len(liked_T):
            score_P[rows] = model.scores(liked_T, np.ones((1, len(liked_T)), dtype=np.int64))[column_P[rows], 0]
    return score_P
