"""Config of the knowledge_graph channel, and its recipes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

PERFORMED_BY, HEARD_NEAR = "performed_by", "heard_near"


@dataclass(frozen=True)
class WalkConfig:
    """Spreading activation from the user's tracks and artists."""

    hops: int = 3  # maximum number of triples of a walk
    fan_out: int = 128  # edges with the largest weight that are kept per node and relation
    frontier: int = 256  # most active tracks, and as many other nodes, that pass activation on after each hop
    max_start_nodes: int = 64  # tracks of the user, and as many artists, at which walks start
    decay: float = 1.0  # initial activation of a listen t seconds ago is t ** -decay
    popularity: float = 1.0  # an edge to a track or artist weighs (listeners + 1/2) ** popularity
    damping: float = 1.0  # edges of a node and relation are divided by (their total weight) ** damping; damps hubs
    default_relation_weight: float = 0.1  # weight of a relation that `relation_weights` does not name
    relation_weights: tuple[tuple[str, float], ...] = ((PERFORMED_BY, 1.0), (HEARD_NEAR, 0.3))  # both directions

    def __post_init__(self) -> None:
        pairs = tuple((str(name), float(weight)) for name, weight in self.relation_weights)
        object.__setattr__(self, "relation_weights", pairs)

    def weight(self, relation: str) -> float:
        """The weight of one relation."""
        return dict(self.relation_weights).get(relation, self.default_relation_weight)


@dataclass(frozen=True)
class OrderConfig:
    """Learned order of the walk's candidates."""

    trees: int = 100  # 0: order by activation
    leaves: int = 15
    learning_rate: float = 0.05
    min_candidates_per_leaf: int = 100
    pool: int = 600  # most active candidates of a request that are ordered; further ones follow by activation
    train_fraction: float = 0.3  # newest plays of each user in `train` whose requests the order is learned from
    requests_per_user: int = 60
    max_requests: int = 6_000

    @property
    def objective(self) -> dict[str, Any]:
        """LambdaMART over about as many positions as a list of 200 has discoveries."""
        return {"objective": "lambdarank", "lambdarank_truncation_level": 60}


@dataclass(frozen=True)
class KnowledgeGraphConfig:
    """Configuration of the knowledge_graph channel."""

    walk: WalkConfig = field(default_factory=WalkConfig)
    order: OrderConfig = field(default_factory=OrderConfig)
    cooccurrence_neighbors: int = 16  # tracks played next to a track that become its edges; 0: no edges from the log
    cooccurrence_window: int = 5  # maximum distance of such plays, in listens of one session
    max_history_per_user: int = 20_000  # newest distinct tracks per user that are excluded as already played
    comparison_cases_per_user: int = 30  # validation cases per user that the orders are compared on
    max_comparison_cases: int = 3_000
    seed: int = 0


def knowledge_graph_config(recipe: str) -> KnowledgeGraphConfig:
    """The config of a recipe. `debug` checks that the code runs."""
    small = KnowledgeGraphConfig()
    if recipe == "debug":
        order = replace(small.order, trees=5, min_candidates_per_leaf=5)
        return replace(small, order=order, comparison_cases_per_user=1)
    return small
