"""LightGCN on a collaborative knowledge graph: light graph convolution over likes and knowledge triples.

LightGCN (He et al. 2020, arXiv 2002.02126) on the collaborative knowledge graph of KGAT (Wang et al. 2019, arXiv
1905.07854): users, items and entities are nodes, likes and triples are edges, and the vector of a node is the mean of
its embedding and its vectors after each convolution. Differs from both: no attention and no relation vectors, all
relations have equal weight; likes and triples are normalized separately, so that neither dominates; user and node
biases model popularity; binary cross-entropy with `negatives` sampled items per like in addition to the given ones.
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
"""Scale of the inner product: without it, the gradients of small initial vectors vanish."""


@dataclass(frozen=True)
class LightGCNConfig:
    """Hyperparameters of the network and its training."""

    width: int = 64  # W
    layers: int = 3
    dropout: float = 0.3  # of the vectors before the first convolution
    negatives: int = 8  # sampled per like in every epoch
    learning_rate: float = 5e-3
    epochs: int = 300
    validate_every: int = 5  # epochs
    patience: int = 8  # validations without improvement before stopping


@dataclass(frozen=True)
class LabeledPairs:
    """P user-item pairs with labels, all int64."""

    user_P: np.ndarray
    item_P: np.ndarray
    label_P: np.ndarray  # 1: liked, 0: not

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.user_P)

    def take(self, rows: np.ndarray) -> LabeledPairs:
        """The pairs at `rows`, in that order."""
        return LabeledPairs(self.user_P[rows], self.item_P[rows], self.label_P[rows])


class LightGCN(nn.Module):
    """Network that predicts likes; the first entities are the items.

    Args:
        users: Number of users.
        entities: Number of entities, including the items.
        likes_P2: Pairs (user, item).
        triples_T2: Pairs (head, tail).
        config: Hyperparameters.
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
        """Vectors of all nodes [N, W]."""
        total = self.vector.weight
        hidden = dropout(self.vector.weight, self.config.dropout, self.training)
        for _ in range(self.config.layers):
            hidden = self.convolution(hidden, self.adjacency)
            total = total + hidden
        return total / (self.config.layers + 1)

    def forward(self, user_P: Tensor, item_P: Tensor) -> Tensor:
        """Logits of likes [P]."""
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
    """Fit with early stopping and restore the best weights; every epoch is one full-batch step.

    Args:
        network: Network to fit.
        train: Training pairs.
        items: Number of items.
        seed: Seed of the negative sampling.
        validate: Returns the validation metric, higher is better.
        on_epoch: Called after every epoch with its number and the validation metric, if it was computed.

    Returns:
        The best validation metric.
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
    """Training pairs with sampled negatives that are not known likes, and weights that balance likes and negatives."""
    user = np.repeat(liked.user_P, negatives)
    item = random.integers(0, items, len(user))
    position = np.minimum(np.searchsorted(known, user * items + item), max(len(known) - 1, 0))
    is_negative = known[position] != user * items + item if len(known) else np.ones(len(user), dtype=bool)
    user, item = user[is_negative], item[is_negative]
    pairs = LabeledPairs(
        np.concatenate([train.user_P, user]),
        np.concatenate([train.item_P, item]),
        np.concatenate([train.label_P, np.zeros(len(user), dtype=np.int64)]),
    )
    share = (pairs.label_P == 0).sum() / max(len(liked), 1)
    return pairs, np.where(pairs.label_P == 1, share, 1.0).astype(np.float32)


def _adjacency(edges: list[np.ndarray], nodes: int) -> Tensor:
    """Sum of the symmetrically normalized, undirected adjacency matrices of each list of edges, sparse [N, N]."""
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
