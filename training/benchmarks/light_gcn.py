"""Who will like what, from likes and a knowledge graph in one graph: light convolution over both.

LightGCN (He et al. 2020, arXiv 2002.02126) on the collaborative knowledge graph of KGAT (Wang et al. 2019, arXiv
1905.07854): users, items and entities are nodes, likes and triples are edges, and a node's vector is the mean of its
own and those that one, two, … convolutions bring. Different from both: no attention and no relation vectors, every
relation counts the same; likes and triples are normalised apart, so that neither drowns the other; a bias a user and a
node carries popularity; binary cross-entropy with `negatives` drawn items a like beside the given ones.
Legend: U users, N nodes (users first, then entities), P pairs, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout
from torch_geometric.nn import LGConv
from torch_geometric.utils import to_torch_csr_tensor

LOGIT_SCALE = 5.0
"""A unit of the inner product in logits: small initial vectors would otherwise learn nothing at first."""


@dataclass(frozen=True)
class LightGCNConfig:
    """`negatives` are drawn anew for each like and epoch; `dropout` of the vectors before the first convolution."""

    width: int = 64
    layers: int = 3
    dropout: float = 0.3
    negatives: int = 8
    learning_rate: float = 5e-3
    epochs: int = 300
    validate_every: int = 5
    patience: int = 8


@dataclass(frozen=True)
class LabeledPairs:
    """P judged pairs: `user_P`, `item_P` int64, `label_P` 1 liked, 0 not."""

    user_P: np.ndarray
    item_P: np.ndarray
    label_P: np.ndarray

    def __len__(self) -> int:
        """P."""
        return len(self.user_P)

    def take(self, rows: np.ndarray) -> LabeledPairs:
        """The pairs of `rows`, in that order."""
        return LabeledPairs(self.user_P[rows], self.item_P[rows], self.label_P[rows])


class LightGCN(nn.Module):
    """`forward(user_P, item_P)` gives logits [P]. Items are the entities 0..; `likes_P2` and `triples_T2` are pairs
    (user, item) and (head, tail).
    """

    adjacency: Tensor

    def __init__(
        self, users: int, entities: int, likes_P2: np.ndarray, triples_T2: np.ndarray, config: LightGCNConfig
    ) -> None:
        super().__init__()
        self.users, self.config = users, config
        nodes = users + entities
        self.vector = nn.Embedding(nodes, config.width)
        nn.init.normal_(self.vector.weight, std=0.1)
        self.bias = nn.Embedding(nodes, 1)
        nn.init.zeros_(self.bias.weight)
        self.convolution = LGConv(normalize=False)
        likes = np.stack([likes_P2[:, 0], likes_P2[:, 1] + users], axis=1)
        self.register_buffer("adjacency", _adjacency([likes, triples_T2 + users], nodes), persistent=False)

    def vectors(self) -> Tensor:
        """All nodes' vectors [N, W]."""
        own = here = self.vector.weight
        here = dropout(here, self.config.dropout, self.training)
        total = own
        for _ in range(self.config.layers):
            here = self.convolution(here, self.adjacency)
            total = total + here
        return total / (self.config.layers + 1)

    def forward(self, user_P: Tensor, item_P: Tensor) -> Tensor:
        """Logits of liking."""
        vector_NW, node_P = self.vectors(), item_P + self.users
        bias_P = self.bias(user_P) + self.bias(node_P)
        logit_P: Tensor = LOGIT_SCALE * (vector_NW[user_P] * vector_NW[node_P]).sum(1) + bias_P.squeeze(1)
        return logit_P

    @torch.no_grad()
    def score(self, pairs: LabeledPairs) -> np.ndarray:
        """Logits [P], without dropout."""
        self.eval()
        logit_P: np.ndarray = self(torch.from_numpy(pairs.user_P), torch.from_numpy(pairs.item_P)).numpy()
        return logit_P


def fit_light_gcn(
    network: LightGCN,
    train: LabeledPairs,
    items: int,
    seed: int,
    validate: Callable[[], float],
    on_epoch: Callable[[int, float | None], None],
) -> float:
    """Learn from `train` until `validate` (higher is better) stops growing; the network keeps its best weights.

    Every epoch is one step on all pairs. `on_epoch` hears of each epoch and, where it was validated, the value.
    Returns the best value.
    """
    config, random = network.config, np.random.default_rng(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    liked = train.take(np.flatnonzero(train.label_P == 1))
    known = np.unique(liked.user_P * items + liked.item_P)
    best, waited, weights = -np.inf, 0, network.state_dict()
    for epoch in range(1, config.epochs + 1):
        network.train()
        pairs, weight_P = _add_sampled_negatives(train, liked, known, items, config.negatives, random)
        optimizer.zero_grad()
        logit_P = network(torch.from_numpy(pairs.user_P), torch.from_numpy(pairs.item_P))
        label_P = torch.from_numpy(pairs.label_P).float()
        binary_cross_entropy_with_logits(logit_P, label_P, weight=torch.from_numpy(weight_P)).backward()
        optimizer.step()
        value = None
        if epoch % config.validate_every == 0:
            value = validate()
            waited += 1
            if value > best:
                best, waited = value, 0
                weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        on_epoch(epoch, value)
        if waited >= config.patience:
            break
    network.load_state_dict(weights)
    return best


def _add_sampled_negatives(
    train: LabeledPairs, liked: LabeledPairs, known: np.ndarray, items: int, negatives: int, random: np.random.Generator
) -> tuple[LabeledPairs, np.ndarray]:
    """The pairs and drawn dislikes, none of which is a known like; likes weigh as much as all dislikes together."""
    user = np.repeat(liked.user_P, negatives)
    item = random.integers(0, items, len(user))
    place = np.minimum(np.searchsorted(known, user * items + item), max(len(known) - 1, 0))
    kept = known[place] != user * items + item if len(known) else np.ones(len(user), dtype=bool)
    user, item = user[kept], item[kept]
    pairs = LabeledPairs(
        np.concatenate([train.user_P, user]),
        np.concatenate([train.item_P, item]),
        np.concatenate([train.label_P, np.zeros(len(user), dtype=np.int64)]),
    )
    share = (pairs.label_P == 0).sum() / max(len(liked), 1)
    return pairs, np.where(pairs.label_P == 1, share, 1.0).astype(np.float32)


def _adjacency(edges: list[np.ndarray], nodes: int) -> Tensor:
    """Sum of the symmetrically normalised adjacencies of each list of pairs, both ways, as a sparse matrix [N, N]."""
    index, weight = [], []
    for pairs in edges:
        source, target = np.concatenate([pairs, pairs[:, ::-1]]).T
        degree = np.bincount(source, minlength=nodes)
        index.append(np.stack([source, target]))
        weight.append(1 / np.sqrt(degree[source] * degree[target]))
    edge_index = torch.from_numpy(np.concatenate(index, axis=1).astype(np.int64))
    edge_weight = torch.from_numpy(np.concatenate(weight)).float()
    adjacency: Tensor = to_torch_csr_tensor(edge_index, edge_weight, (nodes, nodes))
    return adjacency
