"""Config of the knowledge_graph channel, and its recipes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

PERFORMED_BY, HEARD_NEAR, RESEMBLES = "performed_by", "heard_near", "resembles"
EMBEDDING_MODELS = ("TransE", "RotatE", "ComplEx")


@dataclass(frozen=True)
class EmbeddingConfig:
    """Embedding of the graph, for edges between similar artists."""

    models: tuple[str, ...] = EMBEDDING_MODELS  # models to try; the one with the best mean reciprocal rank is used
    width: int = 32
    epochs: int = 8  # 0: no embeddings
    batch: int = 2048  # triples
    learning_rate: float = 0.02
    held_out_fraction: float = 0.05  # fraction of the triples that models are compared on
    max_held_out_triples: int = 100
    neighbors_per_artist: int = 10  # nearest artists that become edges of an artist; 0: no edges

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))


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

    def with_relation_weight(self, relation: str, weight: float) -> WalkConfig:
        """A copy with another weight for one relation."""
        return replace(self, relation_weights=tuple(sorted((dict(self.relation_weights) | {relation: weight}).items())))


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
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    cooccurrence_neighbors: int = 16  # tracks played next to a track that become its edges; 0: no edges from the log
    cooccurrence_window: int = 5  # maximum distance of such plays, in listens of one session
    max_history_per_user: int = 20_000  # newest distinct tracks per user that are excluded as already played
    cases_per_user: int = 3  # validation cases per user that the walk is tuned on
    max_validation_cases: int = 400
    comparison_cases_per_user: int = 30  # validation cases per user that the orders are compared on
    max_comparison_cases: int = 3_000
    tuning_rounds: int = 1  # passes of the coordinate search over the walk's parameters
    is_tuned: bool = False  # True: use `walk` as it is; False: tune it on validation
    seed: int = 0


def knowledge_graph_config(recipe: str) -> KnowledgeGraphConfig:
    """The config of a recipe. `debug` checks that the code runs; `full` tunes on more cases and trains embeddings
    longer.
    """
    small = KnowledgeGraphConfig()
    if recipe == "debug":
        return replace(
            small,
            embedding=replace(small.embedding, models=("TransE",), width=8, epochs=2),
            order=replace(small.order, trees=5, min_candidates_per_leaf=5),
            cases_per_user=1,
            comparison_cases_per_user=1,
        )
    if recipe == "full":
        return replace(
            small,
            embedding=replace(small.embedding, width=64, epochs=30),
            cases_per_user=15,
            max_validation_cases=2000,
            tuning_rounds=2,
        )
    return small
