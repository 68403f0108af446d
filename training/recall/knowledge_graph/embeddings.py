"""Knowledge graph embeddings, and edges between artists with similar embeddings.

TransE (Bordes et al. 2013), ComplEx (Trouillon et al. 2016, arXiv 1606.06357) and RotatE (Sun et al. 2019, arXiv
1902.10197), from torch_geometric; the model is selected by link prediction on held-out triples. Nodes with a single
edge are left out, because a vector trained on one edge only reflects its neighbor.

Legend: N nodes, T triples, W width, K neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch_geometric.nn import ComplEx, RotatE, TransE
from torch_geometric.nn.kge import KGEModel
from tqdm import tqdm

from training.engine.threads import configure_threads
from training.recall.knowledge_graph.config import EmbeddingConfig
from training.recall.knowledge_graph.graph import KnowledgeGraph

MODEL_CLASSES: dict[str, type[KGEModel]] = {"TransE": TransE, "RotatE": RotatE, "ComplEx": ComplEx}
MIN_TRIPLES = 20


@dataclass(frozen=True)
class Embedding:
    """Unit vectors of the nodes `node_N` (ascending), and the mean reciprocal rank of each tried model on held-out
    triples.
    """

    model: str
    node_N: np.ndarray
    vector_NW: np.ndarray
    reciprocal_rank: dict[str, float] = field(default_factory=dict)


def fit_embedding(graph: KnowledgeGraph, config: EmbeddingConfig, seed: int) -> Embedding | None:
    """The best of the configured models; None if embeddings are disabled or there are fewer than MIN_TRIPLES triples.

    Raises:
        ValueError: The config names a model that is not in MODEL_CLASSES.
    """
    for name in config.models:
        if name not in MODEL_CLASSES:
            raise ValueError(f"embedding {name!r} is unknown; choose from {', '.join(MODEL_CLASSES)}")
    node_N, triples_T3 = drop_single_edge_nodes(graph)
    if not config.epochs or len(triples_T3) < MIN_TRIPLES:
        return None
    configure_threads()
    order = np.random.default_rng(seed).permutation(len(triples_T3))
    held_out = min(config.max_held_out_triples, max(1, int(config.held_out_fraction * len(order))))
    test_T3, train_T3 = (torch.from_numpy(triples_T3[rows]) for rows in (order[:held_out], order[held_out:]))
    tried: dict[str, float] = {}
    vectors: dict[str, np.ndarray] = {}
    for name in config.models:
        torch.manual_seed(seed)
        model = MODEL_CLASSES[name](len(node_N), len(graph.relations), config.width)
        _train(model, train_T3, config, f"{name} {len(train_T3):,} triples")
        tried[name] = mean_reciprocal_rank(model, test_T3)
        vectors[name] = _node_vectors(model)
    best = max(tried, key=lambda name: (tried[name], name))
    return Embedding(best, node_N, vectors[best], tried)


def drop_single_edge_nodes(graph: KnowledgeGraph) -> tuple[np.ndarray, np.ndarray]:
    """Nodes with at least two edges, ascending, and the triples between them [T, 3], with positions in these nodes."""
    degree_N = np.bincount(np.concatenate([graph.head_T, graph.tail_T]), minlength=len(graph))
    kept = (degree_N[graph.head_T] > 1) & (degree_N[graph.tail_T] > 1)
    triples = np.stack([graph.head_T[kept], graph.relation_T[kept], graph.tail_T[kept]], axis=1)
    node_N = np.unique(triples[:, [0, 2]])
    triples[:, 0], triples[:, 2] = np.searchsorted(node_N, triples[:, 0]), np.searchsorted(node_N, triples[:, 2])
    return node_N, triples


@torch.no_grad()
def mean_reciprocal_rank(model: KGEModel, triples_T3: torch.Tensor, max_values_per_chunk: int = 50_000_000) -> float:
    """Mean of 1 / rank of the true tail among all nodes; ties count half."""
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
    graph: KnowledgeGraph, embedding: Embedding, max_neighbors: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target and strength of edges from each embedded artist to its `max_neighbors` nearest artists.

    The strength is the cosine; only edges with a positive cosine are kept.
    """
    import faiss

    is_artist = (embedding.node_N >= graph.first_artist) & (embedding.node_N < graph.first_entity)
    node_N, vector_NW = embedding.node_N[is_artist], np.ascontiguousarray(embedding.vector_NW[is_artist])
    if len(node_N) < 2 or not max_neighbors:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0, dtype=np.float32)
    index = faiss.IndexFlatIP(vector_NW.shape[1])
    index.add(vector_NW)
    cosine_NK, place_NK = index.search(vector_NW, min(max_neighbors + 1, len(node_N)))
    source = np.repeat(np.arange(len(node_N)), place_NK.shape[1])
    place, cosine = place_NK.ravel(), cosine_NK.ravel()
    kept = (place != source) & (place >= 0) & (cosine > 0)
    return node_N[source[kept]], node_N[place[kept]], cosine[kept].astype(np.float32)


def _train(model: KGEModel, triples_T3: torch.Tensor, config: EmbeddingConfig, description: str) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(torch.initial_seed())
    for _ in tqdm(range(config.epochs), desc=description, unit="epoch", mininterval=1, disable=None):
        for rows in torch.randperm(len(triples_T3), generator=generator).split(config.batch):
            head, relation, tail = triples_T3[rows].T
            optimizer.zero_grad()
            model.loss(head, relation, tail).backward()
            optimizer.step()


@torch.no_grad()
def _node_vectors(model: KGEModel) -> np.ndarray:
    """Unit vectors [N, W]; real and imaginary parts of complex embeddings are concatenated."""
    parts = [model.node_emb.weight]
    if hasattr(model, "node_emb_im"):
        parts.append(model.node_emb_im.weight)
    vector_NW: np.ndarray = torch.nn.functional.normalize(torch.cat(parts, dim=1), dim=1).numpy()
    return vector_NW
