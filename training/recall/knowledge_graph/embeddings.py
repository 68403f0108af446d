"""The music graph as vectors, and what they add to it: artists that are alike without sharing a node.

TransE (Bordes et al. 2013), ComplEx (Trouillon et al. 2016, arXiv 1606.06357), RotatE (Sun et al. 2019, arXiv
1902.10197), all by torch_geometric; the model is chosen by link prediction on triples that it did not learn from. Nodes
with a single edge are left out: a vector learned from one edge is its neighbour's. Legend: N nodes, T triples, W
width. Knows nothing about users.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch_geometric.nn import ComplEx, RotatE, TransE
from torch_geometric.nn.kge import KGEModel
from tqdm import tqdm

from training.engine import trainer
from training.recall.knowledge_graph.config import EmbeddingConfig
from training.recall.knowledge_graph.graph import KnowledgeGraph

MODEL_CLASSES: dict[str, type[KGEModel]] = {"TransE": TransE, "RotatE": RotatE, "ComplEx": ComplEx}
MIN_TRIPLES = 20


@dataclass(frozen=True)
class Embedding:
    """Unit vectors of the nodes `node_N`, ascending; `reciprocal_rank`: of each model tried, on held-out triples."""

    model: str
    node_N: np.ndarray
    vector_NW: np.ndarray
    reciprocal_rank: dict[str, float] = field(default_factory=dict)


def fit_embedding(graph: KnowledgeGraph, config: EmbeddingConfig, seed: int) -> Embedding | None:
    """The best of the config's models, learned from the triples; None where there is next to nothing to learn from.

    Raises:
        ValueError: the config names a model that is not in MODELS.
    """
    for name in config.models:
        if name not in MODEL_CLASSES:
            raise ValueError(f"embedding {name!r} is unknown; choose from {', '.join(MODEL_CLASSES)}")
    node_N, triples_T3 = drop_single_edge_nodes(graph)
    if not config.epochs or len(triples_T3) < MIN_TRIPLES:
        return None
    trainer.configure_threads()
    order = np.random.default_rng(seed).permutation(len(triples_T3))
    held = min(config.max_held_out_triples, max(1, int(config.held_out_fraction * len(order))))
    asked, learned = (torch.from_numpy(triples_T3[rows]) for rows in (order[:held], order[held:]))
    tried: dict[str, float] = {}
    vectors: dict[str, np.ndarray] = {}
    for name in config.models:
        torch.manual_seed(seed)
        model = MODEL_CLASSES[name](len(node_N), len(graph.relations), config.width)
        _train(model, learned, config, f"{name} {len(learned):,} triples")
        tried[name] = mean_reciprocal_rank(model, asked)
        vectors[name] = _node_vectors(model)
    best = max(tried, key=lambda name: (tried[name], name))
    return Embedding(best, node_N, vectors[best], tried)


def drop_single_edge_nodes(graph: KnowledgeGraph) -> tuple[np.ndarray, np.ndarray]:
    """Nodes with at least two edges, ascending, and the triples between them [T, 3], in numbers of those nodes."""
    degree_N = np.bincount(np.concatenate([graph.head_T, graph.tail_T]), minlength=len(graph))
    kept = (degree_N[graph.head_T] > 1) & (degree_N[graph.tail_T] > 1)
    triples = np.stack([graph.head_T[kept], graph.relation_T[kept], graph.tail_T[kept]], axis=1)
    node_N = np.unique(triples[:, [0, 2]])
    triples[:, 0], triples[:, 2] = np.searchsorted(node_N, triples[:, 0]), np.searchsorted(node_N, triples[:, 2])
    return node_N, triples


@torch.no_grad()
def mean_reciprocal_rank(model: KGEModel, triples_T3: torch.Tensor, max_values_per_chunk: int = 50_000_000) -> float:
    """Mean of 1 / rank of the true tail among all nodes, ties counted half."""
    nodes = torch.arange(model.num_nodes)
    ranks = []
    rows = max(1, max_values_per_chunk // (model.num_nodes * model.hidden_channels))
    for some in triples_T3.split(rows):
        head, relation = (some[:, column].repeat_interleave(len(nodes)) for column in (0, 1))
        score_TN = model(head, relation, nodes.repeat(len(some))).view(len(some), -1)
        own = score_TN.gather(1, some[:, 2:])
        ranks.append((score_TN > own).sum(1) + ((score_TN == own).sum(1) + 1) / 2)
    return float((1 / torch.cat(ranks)).mean())


def similar_artist_edges(
    graph: KnowledgeGraph, found: Embedding, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From, to, strength: of each artist that has a vector the `most` artists with the nearest ones, by cosine above 0."""
    import faiss

    is_artist = (found.node_N >= graph.first_artist) & (found.node_N < graph.first_entity)
    node_N, vector_NW = found.node_N[is_artist], np.ascontiguousarray(found.vector_NW[is_artist])
    if len(node_N) < 2 or not most:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0, dtype=np.float32)
    index = faiss.IndexFlatIP(vector_NW.shape[1])
    index.add(vector_NW)
    cosine_NK, place_NK = index.search(vector_NW, min(most + 1, len(node_N)))
    source = np.repeat(np.arange(len(node_N)), place_NK.shape[1])
    place, cosine = place_NK.ravel(), cosine_NK.ravel()
    kept = (place != source) & (place >= 0) & (cosine > 0)
    return node_N[source[kept]], node_N[place[kept]], cosine[kept].astype(np.float32)


def _train(model: KGEModel, triples_T3: torch.Tensor, config: EmbeddingConfig, what: str) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(torch.initial_seed())
    for _ in tqdm(range(config.epochs), desc=what, unit="epoch", mininterval=1, disable=None):
        for rows in torch.randperm(len(triples_T3), generator=generator).split(config.batch):
            head, relation, tail = triples_T3[rows].T
            optimizer.zero_grad()
            model.loss(head, relation, tail).backward()
            optimizer.step()


@torch.no_grad()
def _node_vectors(model: KGEModel) -> np.ndarray:
    """Unit vectors; a complex embedding is its real and imaginary parts one after the other."""
    parts = [model.node_emb.weight]
    if hasattr(model, "node_emb_im"):
        parts.append(model.node_emb_im.weight)
    vector_NW: np.ndarray = torch.nn.functional.normalize(torch.cat(parts, dim=1), dim=1).numpy()
    return vector_NW
