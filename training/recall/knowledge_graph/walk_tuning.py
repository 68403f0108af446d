"""Tuning of the walk's parameters on validation sessions by coordinate search.

A value is accepted if its mean gain over users exceeds the standard error of the gain. Only tracks that were available
before validation (`TrainingData.validation_catalog_V`) are targets and candidates.

Legend: C cases, U users, K candidates, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import numpy as np
from tqdm import tqdm

from training.data.recall_cases import RecallCases, is_significant_gain, mean_per_user, recall_at_k
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch, load_user_batches
from training.recall.channel import Candidates
from training.recall.knowledge_graph.config import PERFORMED_BY, KnowledgeGraphConfig
from training.recall.knowledge_graph.graph import ONE_WAY_RELATIONS, KnowledgeGraph

DECAY_GRID = (0.7, 1.0, 1.3, 1.6)
POPULARITY_GRID = (0.5, 1.0, 1.5)
DAMPING_GRID = (0.75, 1.0)
RELATION_WEIGHT_GRID = (0.03, 0.1, 0.3, 1.0)
"""0 is not tried: catalog relations reach unplayed tracks, which never are targets of validation sessions."""
DERIVED_RELATION_WEIGHT_GRID = (0.0, *RELATION_WEIGHT_GRID)


class TunableWalk(Protocol):
    """The part of the channel `knowledge_graph` that tuning uses."""

    feature_service: ClassVar[str]
    resolved_config: KnowledgeGraphConfig
    graph: KnowledgeGraph
    is_servable_V: np.ndarray

    def apply_config(self, config: KnowledgeGraphConfig) -> None:
        """Replace the config and rebuild the walk graph."""

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best candidates of each request."""


def tune_walk(channel: TunableWalk, data: TrainingData) -> dict[str, Any]:
    """Set the walk parameters of `channel` that maximize recall@50 + recall@200 of reachable discoveries.

    Returns:
        `tried`: the tried parameters with their recall; `validation`: number of cases and the best objective.
    """
    config = replace(channel.resolved_config, is_tuned=True)
    cases = sample_requests(data, config.cases_per_user, config.max_validation_cases, config.seed)
    if not len(cases):
        channel.apply_config(config)
        return {}
    targets = cases.items["reachable"]
    batches = load_user_batches(data, cases, channel.feature_service)
    serving_V, channel.is_servable_V = channel.is_servable_V, channel.is_servable_V & data.validation_catalog_V
    tried: list[dict[str, Any]] = []

    def objective(trial: KnowledgeGraphConfig) -> np.ndarray:
        channel.apply_config(trial)
        items_CK = np.concatenate([channel.recall(users, 200).items_BK for users in batches])
        found = {k: mean_per_user(recall_at_k(items_CK, targets, k), cases.user_C) for k in (50, 200)}
        tried.append(
            {"walk": _walk_parameters(trial), **{f"recall_at_{k}": float(one.mean()) for k, one in found.items()}}
        )
        objective_U: np.ndarray = found[50] + found[200]
        return objective_U

    best, best_U = config, objective(config)
    for _ in range(config.tuning_rounds):
        before = best
        for number in range(_count_parameters(channel)):
            for trial in tqdm(list(_trials(best, channel, number)), desc=f"tune walk {number + 1}", mininterval=1):
                trial_U = objective(trial)
                if is_significant_gain(trial_U - best_U):
                    best, best_U = trial, trial_U
        if best is before:
            break
    channel.is_servable_V = serving_V
    channel.apply_config(best)
    return {"validation": {"cases": len(cases), "recall_at_50_plus_200": float(best_U.mean())}, "tried": tried}


def sample_requests(data: TrainingData, per_user: int, max_requests: int, seed: int) -> RecallCases:
    """Validation requests with a reachable discovery."""
    cases = data.recall_cases("validation")
    return cases.take(np.flatnonzero(cases.items["reachable"].count_C > 0)).sample(per_user, seed, max_requests)


def _count_parameters(channel: TunableWalk) -> int:
    return 3 + len([name for name in channel.graph.relations if name != PERFORMED_BY])


def _trials(best: KnowledgeGraphConfig, channel: TunableWalk, number: int) -> Iterator[KnowledgeGraphConfig]:
    """The config with each other value of parameter `number`: relation weights first, by ascending frequency of the
    relation.
    """
    walk, graph = best.walk, channel.graph
    count = np.bincount(graph.relation_T, minlength=len(graph.relations))
    names = [graph.relations[place] for place in np.argsort(count, kind="stable")]
    names = [name for name in names if name != PERFORMED_BY]
    if number < len(names):
        name = names[number]
        weights = DERIVED_RELATION_WEIGHT_GRID if name in ONE_WAY_RELATIONS else RELATION_WEIGHT_GRID
        walks = [walk.with_relation_weight(name, weight) for weight in weights if weight != walk.weight(name)]
    else:
        walks = [
            [replace(walk, decay=value) for value in DECAY_GRID if value != walk.decay],
            [replace(walk, popularity=value) for value in POPULARITY_GRID if value != walk.popularity],
            [replace(walk, damping=value) for value in DAMPING_GRID if value != walk.damping],
        ][number - len(names)]
    for one in walks:
        yield replace(best, walk=one)


def _walk_parameters(config: KnowledgeGraphConfig) -> dict[str, Any]:
    walk = config.walk
    return {"decay": walk.decay, "popularity": walk.popularity, "damping": walk.damping} | dict(walk.relation_weights)
