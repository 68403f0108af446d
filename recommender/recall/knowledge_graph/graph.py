"""The music knowledge graph as arrays: typed nodes, triples (head, relation, tail) and co-occurrence edges of tracks.

Nodes 0..V-1 are the tracks by their vocabulary codes, the next A nodes the artists by theirs, then all other entities
(`genre:rock`, `work:…`) in the order of their text. Reserved codes are nodes without edges.

With co-occurrence edges, from tracks that users play next to each other, it is a collaborative knowledge graph in the
sense of Wang, He, Cao, Liu, Chua, "KGAT: Knowledge Graph Attention Network for Recommendation" (KDD 2019), arXiv
1905.07854. Difference: users are not nodes; two tracks that were listened to within a few plays of one session are
linked, with the number of such users as the strength. Only `train` plays are used.

Legend: N nodes, T triples, M directed edges, G groups of edges, V vocabulary, A artists, P plays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from recommender.catalog.vocabulary import Vocabulary
from sequences.sequence_batch import FIRST_CODE

PERFORMED_BY, HEARD_NEAR = "performed_by", "heard_near"
"""HEARD_NEAR is derived from the log. Each track has its own list of neighbors with strengths, so edges are followed forward
only."""

TRIPLES_FILE = "triples.npz"
ENTITIES_FILE = "entities.parquet"


@dataclass(frozen=True)
class KnowledgeGraph:
    """Distinct triples `head_T`, `relation_T` (position in `relations`), `tail_T`, sorted.

    `entities` are the texts of the nodes that are neither tracks nor artists of the vocabulary.
    """

    vocabulary: Vocabulary
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    head_T: np.ndarray
    relation_T: np.ndarray
    tail_T: np.ndarray
    strength_T: np.ndarray
    """Strength of each triple, above 0; 1 for triples of the catalog."""

    @classmethod
    def build(cls, triples: pl.DataFrame, vocabulary: Vocabulary) -> KnowledgeGraph:
        """The graph of the rows `head, relation, tail` (typed texts) of the mart `knowledge_triples`.

        Raises:
            ValueError: A head or tail has no type (`type:name`).
        """
        texts = pl.concat([triples["head"], triples["tail"]]).unique()
        untyped = texts.filter(~texts.str.contains(":", literal=True)).sort()
        if len(untyped):
            raise ValueError(f"node {untyped[0]!r} has no type; write it as type:name, such as artist:{untyped[0]}")
        tracks = vocabulary.track_ids_V[FIRST_CODE:].tolist()
        node_of = {f"track:{track}": code for code, track in enumerate(tracks, FIRST_CODE)}
        node_of |= {f"artist:{artist}": len(vocabulary) + code for artist, code in vocabulary.artist_code.items()}
        entities = sorted(set(texts.to_list()) - node_of.keys())
        node_of |= {text: node for node, text in enumerate(entities, len(vocabulary) + vocabulary.artist_count)}
        relations = triples["relation"].unique().sort().to_list()
        number_of = {relation: number for number, relation in enumerate(relations)}
        numbers = {"head": node_of, "relation": number_of, "tail": node_of}
        columns = [pl.col(name).replace_strict(code).cast(pl.Int64) for name, code in numbers.items()]
        rows = triples.select(columns).unique().sort(*numbers)
        head, relation, tail = (rows[name].to_numpy() for name in numbers)
        return cls(
            vocabulary, tuple(entities), tuple(relations), head, relation, tail, np.ones(len(head), dtype=np.float32)
        )

    def __len__(self) -> int:
        """N: number of nodes."""
        return self.first_entity + len(self.entities)

    @property
    def first_artist(self) -> int:
        """V: the node of artist code 0."""
        return len(self.vocabulary)

    @property
    def first_entity(self) -> int:
        """V + A: the first node that is neither track nor artist."""
        return len(self.vocabulary) + self.vocabulary.artist_count

    def relation_number(self, name: str) -> int:
        """Position of a relation in `relations`; -1 without triples of it."""
        return self.relations.index(name) if name in self.relations else -1

    def with_edges(
        self, relation: str, head_T: np.ndarray, tail_T: np.ndarray, strength_T: np.ndarray
    ) -> KnowledgeGraph:
        """A copy with the edges of one more relation between existing nodes.

        Raises:
            ValueError: The graph already has this relation.
        """
        if relation in self.relations:
            raise ValueError(f"the triples have a relation {relation!r} already; give the derived one another name")
        number = np.full(len(head_T), len(self.relations), dtype=np.int64)
        return KnowledgeGraph(
            self.vocabulary,
            self.entities,
            (*self.relations, relation),
            np.concatenate([self.head_T, head_T.astype(np.int64)]),
            np.concatenate([self.relation_T, number]),
            np.concatenate([self.tail_T, tail_T.astype(np.int64)]),
            np.concatenate([self.strength_T, strength_T.astype(np.float32)]),
        )

    def without_entities(self, texts: Iterable[str]) -> KnowledgeGraph:
        """A copy without the triples of these entities (typed texts); unknown ones are ignored."""
        nodes = self.first_entity + np.flatnonzero(np.isin(np.array(self.entities, dtype=np.str_), list(texts)))
        kept_T = ~(np.isin(self.head_T, nodes) | np.isin(self.tail_T, nodes))
        parts = ("head_T", "relation_T", "tail_T", "strength_T")
        return replace(self, **{name: getattr(self, name)[kept_T] for name in parts})

    def save(self, folder: Path) -> None:
        """Write texts as Parquet and numbers as arrays; the vocabulary is not included."""
        texts = pl.DataFrame({"text": self.entities}, schema={"text": pl.String})
        texts.write_parquet(folder / ENTITIES_FILE)
        # int32 halves the size; node numbers are far below 2 billion.
        numbers = {name: getattr(self, name).astype(np.int32) for name in ("head_T", "relation_T", "tail_T")}
        relations = np.array(self.relations, dtype=np.str_)
        np.savez_compressed(folder / TRIPLES_FILE, relations=relations, strength_T=self.strength_T, **numbers)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> KnowledgeGraph:
        """The graph that `save` wrote, with the same vocabulary.

        Raises:
            ValueError: The triples have nodes that neither the vocabulary nor the entities have. The compiled sums over nodes
                do not check it and would write outside of their arrays.
        """
        texts = tuple(pl.read_parquet(folder / ENTITIES_FILE)["text"].to_list())
        with np.load(folder / TRIPLES_FILE, allow_pickle=False) as arrays:
            head, relation, tail = (arrays[name].astype(np.int64) for name in ("head_T", "relation_T", "tail_T"))
            relations = tuple(arrays["relations"].tolist())
            graph = cls(vocabulary, texts, relations, head, relation, tail, arrays["strength_T"])
        last = max(head.max(initial=0), tail.max(initial=0))
        if last >= len(graph):
            raise ValueError(
                f"the graph in {folder} has node {last}, but vocabulary and entities only {len(graph)} nodes; "
                "load the vocabulary of the same release, or fit the channel again"
            )
        return graph
