"""A trained ranker with all it needs to score: weights, features, temperatures. What a release holds and serving asks.

Knows nothing about training or HTTP. Shape letters: B requests, C candidates, T tasks.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from training.data.user_batch import UserBatch
from training.data.vocabulary import Vocabulary
from training.ranking import RANKERS
from training.ranking.boosted_trees import BoostedTrees
from training.ranking.event_embeddings import ItemFrequencies
from training.ranking.features.ranking_features import RankingFeatures
from training.ranking.features.track_genres import TrackGenres
from training.ranking.features.track_statistics import TrackStatistics
from training.ranking.listwise_head import LambdaMARTHead
from training.ranking.ranker import Ranker, RankerConfig
from training.ranking.task_weights import LISTWISE_HEAD

MANIFEST, WEIGHTS = "ranker.json", "weights.safetensors"


def build_ranking_features(
    config: RankerConfig, vocabulary: Vocabulary, statistics: TrackStatistics, kinds: TrackGenres | None
) -> RankingFeatures:
    """The features that a ranker of this config reads; `kinds` are needed where the config asks for them."""
    read = (config.hard_search, config.plays, config.negative_feedback, config.searches, config.effective_impressions)
    return RankingFeatures.from_vocabulary(vocabulary, statistics, *read, kinds if config.genres else None)


@dataclass
class FittedRanker:
    """`settled` is the config with what the fit chose filled in (steps, temperatures): the `final` fit is given it.

    `listened` is the head that was learned from whole requests, where there is one; it is kept beside rankers, not in them.
    `measures` is what the fit is worth knowing by: seconds, steps, validation values, tasks the log could not teach.
    """

    model: Ranker
    features: RankingFeatures
    resolved_config: RankerConfig
    measures: dict[str, Any]
    listwise_head: LambdaMARTHead | None = None

    def __post_init__(self) -> None:
        self.model.eval()

    @property
    def name(self) -> str:
        """Key of `RANKERS`."""
        return self.model.name

    @property
    def feature_service(self) -> str:
        """Name of the feature service that it reads."""
        return self.model.feature_service

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it gives a probability of."""
        return self.model.tasks

    @torch.inference_mode()
    def score(self, users: UserBatch, items_BC: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """Calibrated probability [B, C] of each task, and of LISTENED where there is that head; vocabulary indices, 0 (no
        candidate) gets a number that means nothing.

        Raises:
            ValueError: `items_BC` has not one row a request.
        """
        if items_BC.ndim != 2 or len(items_BC) != len(users):
            raise ValueError(f"items have shape {items_BC.shape} for {len(users)} requests; give one row a request")
        side = self.features.prepare_users(users)
        candidates = self.features.prepare_candidates(side, items_BC)
        logits_BCT = self.model(self.model.encode_user(side.inputs), candidates)
        probability_BCT = torch.sigmoid(
            logits_BCT / torch.tensor(self.resolved_config.temperatures or [1.0] * len(self.tasks))
        )
        said = {task: probability_BCT[..., t].numpy() for t, task in enumerate(self.tasks)}
        if self.listwise_head is not None:
            said[LISTWISE_HEAD] = self.listwise_head.probability(side.inputs, candidates)
        return said

    def with_listwise_head(self, head: LambdaMARTHead) -> FittedRanker:
        """The ranker beside the head; one that makes no numbers by hard search has to do without."""
        return replace(self, listwise_head=head) if self.features.hard_search else self

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), config (JSON), statistics and kinds of each track (Parquet), and trees (text)."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}, folder / WEIGHTS)
        self.features.statistics.newest_per_track().save(folder)
        for part in (self.features.trees, self.features.genres):
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
        """What `save` wrote, for the vocabulary it was trained with.

        Raises:
            FileNotFoundError: `folder` holds no ranker.
            ValueError: the vocabulary is another one.
        """
        if not (folder / MANIFEST).exists():
            raise FileNotFoundError(f"no {MANIFEST} in {folder}; run `python -m training.train ranker NAME` first")
        parts = json.loads((folder / MANIFEST).read_text())
        weights = load_file(folder / WEIGHTS)
        rows = {name: weights[f"embedding.{name}.row_of_V"] for name in ("track", "artist")}
        if len(rows["track"]) != len(vocabulary) or len(rows["artist"]) != vocabulary.artist_count:
            raise ValueError(
                f"the ranker in {folder} knows {len(rows['track'])} tracks, the vocabulary {len(vocabulary)}; "
                "load the vocabulary of the same release"
            )
        # An id had a row of its own exactly where its row is not a reserved one; loading the weights restores which.
        catalogue = ItemFrequencies(*(torch.where(row > 1, torch.iinfo(torch.int64).max, 0) for row in rows.values()))
        config = RANKERS[parts["name"]].config_class(**parts["config"])
        model = RANKERS[parts["name"]](config, catalogue, tuple(parts["tasks"]))
        model.load_state_dict(weights)
        if model.tree_weight is not None:
            model.set_tree_ensemble(replace(config, tree_weight=float(model.tree_weight)))
        statistics, trees = TrackStatistics.load(folder), BoostedTrees.load(folder)
        features = build_ranking_features(config, vocabulary, statistics, TrackGenres.load(folder))
        return cls(model, replace(features, trees=trees), config, parts["measures"])
