"""Config of the knowledge_graph channel; `training/recipes/small.yaml` says what its fields mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.engine.config_io import Section

PERFORMED_BY, HEARD_NEAR = "performed_by", "heard_near"


@dataclass(frozen=True)
class WalkConfig(Section):
    """Spreading activation from the user's tracks and artists."""

    hops: int
    fan_out: int
    frontier: int
    max_start_nodes: int
    decay: float
    popularity: float
    damping: float
    default_relation_weight: float
    relation_weights: tuple[tuple[str, float], ...]

    def weight(self, relation: str) -> float:
        """The weight of one relation."""
        return dict(self.relation_weights).get(relation, self.default_relation_weight)


@dataclass(frozen=True)
class OrderConfig(Section):
    """Learned order of the walk's candidates."""

    trees: int
    leaves: int
    learning_rate: float
    min_candidates_per_leaf: int
    pool: int
    train_fraction: float
    requests_per_user: int
    max_requests: int

    @property
    def objective(self) -> dict[str, Any]:
        """LambdaMART over about as many positions as a list of 200 has discoveries."""
        return {"objective": "lambdarank", "lambdarank_truncation_level": 60}


@dataclass(frozen=True)
class KnowledgeGraphConfig(Section):
    """Configuration of the knowledge_graph channel."""

    walk: WalkConfig
    order: OrderConfig
    cooccurrence_neighbors: int
    cooccurrence_window: int
    max_history_per_user: int
    comparison_cases_per_user: int
    max_comparison_cases: int
    seed: int
