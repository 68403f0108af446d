"""The numbers of the knowledge graph channel, by recipe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

PERFORMED_BY, HEARD_NEAR, RESEMBLES = "performed_by", "heard_near", "resembles"
EMBEDDING_MODELS = ("TransE", "RotatE", "ComplEx")


@dataclass(frozen=True)
class EmbeddingConfig:
    """How the graph is embedded. `models`: tried, the one with the best mean reciprocal rank on `held_out` of the
    triples stays; `resembling`: nearest artists that become edges of each artist, 0 for none. `epochs` 0: no
    embeddings.
    """

    models: tuple[str, ...] = EMBEDDING_MODELS
    width: int = 32
    epochs: int = 8
    batch: int = 2048
    learning_rate: float = 0.02
    held_out_fraction: float = 0.05
    max_held_out_triples: int = 100
    neighbors_per_artist: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))


@dataclass(frozen=True)
class WalkConfig:
    """How activation spreads. `hops`: triples that a walk follows at most; `fan_out`: edges of a relation kept at a
    node, the weightiest; `frontier`: nodes that a hop goes on from; `starts`: tracks of the user, and as many artists,
    that walks start at. `decay`: a listen t seconds ago starts with t ** -decay. `popularity`: an edge to a track or an
    artist weighs (listeners + 1/2) ** popularity; `damping`: a node's edges of a relation share 1 / (their total weight)
    ** damping, so that what everybody is linked to says little. `relations`: weight of each relation, in both
    directions; one that is not there has `other_relations`.
    """

    hops: int = 3
    fan_out: int = 128
    frontier: int = 256
    max_start_nodes: int = 64
    decay: float = 1.0
    popularity: float = 1.0
    damping: float = 1.0
    default_relation_weight: float = 0.1
    relation_weights: tuple[tuple[str, float], ...] = ((PERFORMED_BY, 1.0), (HEARD_NEAR, 0.3))

    def __post_init__(self) -> None:
        pairs = tuple((str(name), float(weight)) for name, weight in self.relation_weights)
        object.__setattr__(self, "relation_weights", pairs)

    def weight(self, relation: str) -> float:
        """The weight of one relation."""
        return dict(self.relation_weights).get(relation, self.default_relation_weight)

    def with_relation_weight(self, relation: str, weight: float) -> WalkConfig:
        """This, with another weight of one relation."""
        return replace(self, relation_weights=tuple(sorted((dict(self.relation_weights) | {relation: weight}).items())))


@dataclass(frozen=True)
class KnowledgeGraphConfig:
    """`near`: tracks that others heard just before or after, kept as edges of each track (0: the log adds no edges);
    `is_tuned`: the walk's numbers are given; else they are chosen on `cases_per_user` validation cases a user and
    `most_cases` in all, one number at a time, `rounds` times over. `heard_per_user`: tracks of a user remembered as heard, the newest.
    """

    walk: WalkConfig = field(default_factory=WalkConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    cooccurrence_neighbors: int = 16
    cooccurrence_window: int = 5
    max_history_per_user: int = 20_000
    cases_per_user: int = 3
    max_validation_cases: int = 400
    tuning_rounds: int = 1
    is_tuned: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        # A config that was written as JSON comes back as plain dictionaries.
        if isinstance(self.walk, dict):
            object.__setattr__(self, "walk", WalkConfig(**self.walk))
        if isinstance(self.embedding, dict):
            object.__setattr__(self, "embedding", EmbeddingConfig(**self.embedding))


def knowledge_graph_config(recipe: str) -> KnowledgeGraphConfig:
    """`debug` only shows that it runs; `full` chooses on more cases and embeds longer."""
    small = KnowledgeGraphConfig()
    if recipe == "debug":
        return replace(
            small, embedding=replace(small.embedding, models=("TransE",), width=8, epochs=2), cases_per_user=1
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
