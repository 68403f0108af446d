"""A fitted ranker with everything it needs to score: weights, features, temperatures.

Releases hold it; serving calls it. Does not depend on training or HTTP. Shape letters: B requests, C candidates, T tasks.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from config.dataclass_io import config_from_dict
from recommender.array_types import Weights
from recommender.catalog.vocabulary import Vocabulary
from recommender.ranking.boosted_trees import TREES_FILE, BoostedTrees
from recommender.ranking.features.content_similarity import CONTENT_FILE, ContentRows
from recommender.ranking.features.genre_search import TRACK_GENRES_FILE, TrackGenres
from recommender.ranking.features.ranking_features import RankingFeatures
from recommender.ranking.features.track_statistics import TrackStatistics
from recommender.ranking.listwise_head import LambdaMARTHead
from recommender.ranking.ranker_config import RankerConfig
from recommender.ranking.session_domains.groups import SessionDomainsConfig
from recommender.ranking.session_domains.program import SessionDomainsProgram
from recommender.ranking.task_weights import LISTWISE_HEAD
from recommender.user.user_batch import UserBatch
from storage.tensors import map_tensors

MANIFEST, WEIGHTS = "ranker.json", "weights.safetensors"


@dataclass
class FittedRanker:
    """A fitted ranker.

    Args:
        name: Key of `RANKERS`.
        tasks: Tasks whose probability it predicts.
        weights: What `Ranker.export` returned.
        features: Computes its inputs.
        resolved_config: Config with the values that the fit chose (steps, temperatures); input of the `final` fit.
        measures: Measurements of the fit: seconds, steps, validation values, tasks without labels.
        listwise_head: Head fitted on whole requests, if any; it is stored separately from rankers.
    """

    name: str
    tasks: tuple[str, ...]
    weights: Weights
    features: RankingFeatures
    resolved_config: RankerConfig
    measures: dict[str, Any]
    listwise_head: LambdaMARTHead | None = None

    def __post_init__(self) -> None:
        config = self.resolved_config
        self.program: Any
        if isinstance(config, SessionDomainsConfig) and config.network.experts:
            self.program = SessionDomainsProgram(config, self.weights)
        else:
            self.program = _kind(self.name).from_weights(config, self.tasks, self.weights)

    @property
    def feature_service(self) -> str:
        """Name of the feature service that it reads."""
        return self.program.feature_service

    def score(self, users: UserBatch, items_BC: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """Return the calibrated probability [B, C] of each task, and of LISTWISE_HEAD if there is that head.

        Args:
            users: B requests.
            items_BC: Vocabulary indices of the candidates; the result of padding (0) is undefined.
        """
        side = self.features.prepare_users(users)
        candidates = self.features.prepare_candidates(side, items_BC)
        logits_BCT = self.program.logits(side.inputs, candidates)
        temperatures_T = np.array(self.resolved_config.validation.temperatures or [1.0] * len(self.tasks), np.float32)
        probability_BCT = 1 / (1 + np.exp(-logits_BCT / temperatures_T))
        probability = {task: probability_BCT[..., t] for t, task in enumerate(self.tasks)}
        if self.listwise_head is not None:
            probability[LISTWISE_HEAD] = self.listwise_head.probability(side.inputs, candidates)
        return probability

    def with_listwise_head(self, head: LambdaMARTHead) -> FittedRanker:
        """Return the ranker with the head; a ranker without hard search cannot use it and is returned unchanged."""
        return replace(self, listwise_head=head) if self.features.reads.hard_search else self

    def save(self, folder: Path) -> None:
        """Write weights and content (safetensors), config (JSON), track statistics and genres (Parquet), trees (text).

        Trees, genres and content of another fit in the folder are removed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for file in (*folder.glob(TREES_FILE.format(task="*")), folder / TRACK_GENRES_FILE, folder / CONTENT_FILE):
            file.unlink(missing_ok=True)
        save_file(dict(self.weights), folder / WEIGHTS)
        self.features.statistics.newest_per_track().save(folder)
        for part in (self.features.trees, self.features.genres, self.features.content):
            if part is not None:
                part.save(folder)
        parts = {
            "name": self.name,
            "tasks": self.tasks,
            "config": asdict(self.resolved_config),
            "measures": self.measures,
        }
        (folder / MANIFEST).write_text(json.dumps(parts, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> FittedRanker:
        """Read a saved ranker for the vocabulary that it was trained with.

        Raises:
            FileNotFoundError: `folder` has no ranker.
            ValueError: The vocabulary is a different one.
        """
        if not (folder / MANIFEST).exists():
            raise FileNotFoundError(f"no {MANIFEST} in {folder}; run `python -m training.train ranker NAME` first")
        parts = json.loads((folder / MANIFEST).read_text())
        weights = map_tensors(folder / WEIGHTS)
        rows = {name: weights[f"embedding.{name}.row_of_V"] for name in ("track", "artist")}
        if len(rows["track"]) != len(vocabulary) or len(rows["artist"]) != vocabulary.artist_count:
            raise ValueError(
                f"the ranker in {folder} has {len(rows['track'])} tracks, the vocabulary {len(vocabulary)}; "
                "load the vocabulary of the same release"
            )
        config, tasks = config_from_dict(_kind(parts["name"]).config_class, parts["config"]), tuple(parts["tasks"])
        statistics, trees = TrackStatistics.load(folder), BoostedTrees.load(folder, len(tasks))
        parts_of_tracks = TrackGenres.load(folder), ContentRows.load(folder)
        features = RankingFeatures.from_vocabulary(vocabulary, statistics, config.features, *parts_of_tracks)
        return cls(parts["name"], tasks, weights, replace(features, trees=trees), config, parts["measures"])


def _kind(name: str) -> Any:
    """The class of a ranker, which knows its config. PyTorch takes 180 MB, which a process does not need for `session_domains`."""
    if name == SessionDomainsProgram.name:
        return SessionDomainsProgram
    from recommender.ranking.registry import RANKERS

    return RANKERS[name]
