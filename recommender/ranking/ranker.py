"""Base class of all rankers: the user is encoded once per request, then each candidate is scored independently.

A subclass defines how the history becomes an interest in a candidate. Embeddings, dense features and the task head are
the same for all; hard search in long histories is a switch of the config.

Shape letters: B requests, C candidates, L events, D width, I interests, T tasks, H hidden, U user features, Y encoded
dense features. Does not depend on files or training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from recommender.array_types import Array, Floats, Weights
from recommender.nn.ranker_layers import Dice, MultilayerPerceptron, PiecewiseLinear
from recommender.ranking.event_embeddings import EventEmbedding, ItemFrequencies
from recommender.ranking.features.track_statistics import CANDIDATE_FEATURES
from recommender.ranking.inputs import SCENE_CODES, CandidateInputs, UserInputs
from recommender.ranking.ranker_config import RankerConfig
from recommender.ranking.session_domains.layers import MultiGateExperts

POSITIONS = 64


@dataclass(frozen=True)
class UserState:
    """Result of `encode_user`: embedded events and mask, user part of the first layer, encoded user features."""

    events_BLD: Tensor
    mask_BL: Tensor
    hidden_BH: Tensor
    dense_features_BY: Tensor


class Ranker(nn.Module, ABC):
    """Predicts a logit of every task for every candidate of every request.

    The logits of a candidate depend on the request and on that candidate, never on the other candidates.
    """

    name: ClassVar[str]
    feature_service: ClassVar[str]
    config_class: ClassVar[type[RankerConfig]] = RankerConfig
    tree_weights_T: Tensor | None

    def __init__(
        self, config: RankerConfig, catalog: ItemFrequencies, tasks: tuple[str, ...], interests: int = 1
    ) -> None:
        super().__init__()
        network, reads = config.network, config.features
        width, (first, *rest) = network.width, network.hidden
        self.tasks, self.hard_search = tasks, reads.hard_search
        self.embedding = EventEmbedding(catalog, width, network.minimum_count, network.id_dropout)
        self.hour, self.weekday, self.scene = nn.Embedding(24, 8), nn.Embedding(7, 4), nn.Embedding(SCENE_CODES, 4)
        # The columns of the further searches come after these; only trees read them.
        self.user_feature_count, self.match_feature_count = reads.user_feature_count, reads.match_feature_count
        self.context = PiecewiseLinear(self.user_feature_count, network.pieces)
        self.features = PiecewiseLinear(CANDIDATE_FEATURES + len(reads.statistics_fields), network.pieces)
        self.matches = PiecewiseLinear(self.match_feature_count, network.pieces)
        self.from_user = nn.Linear(self.context.width + 16, first)
        self.from_candidate = nn.Linear(self.features.width + self.matches.width + (1 + 2 * interests) * width, first)
        if config.training.dense_epochs:
            # Ids and histories start without influence on the network that the dense epochs train.
            with torch.no_grad():
                begin, ids = self.features.width, (1 + 2 * interests) * width
                self.from_candidate.weight[:, begin : begin + ids].zero_()
        self.activation = nn.Sequential(Dice(first), nn.Dropout(network.dropout))
        if network.experts:
            self.head: nn.Module = MultiGateExperts(
                first, network.hidden[-1], len(tasks), network.experts, network.dropout
            )
        else:
            self.head = MultilayerPerceptron([first, *rest, len(tasks)], network.dropout)
        self.position = nn.Embedding(POSITIONS, len(tasks), padding_idx=0) if network.position_bias else None
        if self.position is not None:
            nn.init.zeros_(self.position.weight)
        dense = self.context.width + self.features.width + self.matches.width
        self.wide_skip_connection = nn.Linear(dense, len(tasks), bias=False) if network.wide_skip_connection else None
        # The network is trained without the trees; the fit sets their weights afterwards.
        self.register_buffer("tree_weights_T", torch.zeros(len(tasks)) if config.trees.count else None)

    @abstractmethod
    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """Return the interest of the history in each candidate [B, C, D]; zeros where there is no history.

        A ranker with several `interests` concatenates them: [B, C, I · D].
        """

    def auxiliary_loss(self, state: UserState, users: UserInputs) -> Tensor:  # noqa: ARG002
        """Return an additional training loss, a scalar; 0 unless a ranker overrides it."""
        return state.hidden_BH.new_zeros(())

    def fit_quantiles(self, users: UserInputs, candidates: CandidateInputs) -> None:
        """Set the breakpoints of the dense-feature encoding to quantiles of training rows; call before training."""
        self.context.fit_quantiles(users.context_BU[:, : self.user_feature_count])
        self.features.fit_quantiles(candidates.features_BCF.flatten(0, 1))
        if self.hard_search:
            self.matches.fit_quantiles(candidates.matches_BCM[..., : self.match_feature_count].flatten(0, 1))

    def encode_user(self, users: UserInputs) -> UserState:
        """Return what depends on the request alone, computed once for all its candidates."""
        scene_B = users.scene_B.clamp(max=SCENE_CODES - 1)
        time_B16 = torch.cat([self.hour(users.hour_B), self.weekday(users.weekday_B), self.scene(scene_B)], dim=-1)
        dense_BY = self.context(users.context_BU[:, : self.user_feature_count])
        # Two products instead of one over concatenated inputs, which would compute an unused gradient of dense_BY.
        dense_weight, time_weight = self.from_user.weight.tensor_split([dense_BY.shape[-1]], dim=1)
        hidden_BH = torch.addmm(self.from_user.bias, time_B16, time_weight.T).addmm_(dense_BY, dense_weight.T)
        return UserState(self.embedding.embed_events(users.recent), users.mask_BL, hidden_BH, dense_BY)

    def position_bias(self, position_B: Tensor) -> Tensor | float:
        """Return the bias of each impression's position, added to its logits in training only [B, T].

        Users do not look at every position, so a track at the end without a click may not have been seen. Scoring omits
        the bias (Gu et al. 2020, DMT; there the bias network also reads the neighboring positions).
        """
        if self.position is None:
            return 0.0
        return self.position(position_B.clamp(max=POSITIONS - 1))

    @classmethod
    def from_weights(cls, config: RankerConfig, tasks: tuple[str, ...], weights: Weights) -> Self:
        """Return the network that exported the weights."""
        # An id has its own embedding if its row is not a reserved one (0, 1); loading the weights restores the rows.
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        rows = (tensors[f"embedding.{name}.row_of_V"] for name in ("track", "artist"))
        often = torch.iinfo(torch.int64).max
        network = cls(config, ItemFrequencies(*(torch.where(row > 1, often, 0) for row in rows)), tasks)
        network.load_state_dict(tensors)
        return network.eval()

    def export(self) -> dict[str, Array]:
        """Return the present weights by name."""
        return {name: tensor.detach().contiguous().numpy() for name, tensor in self.state_dict().items()}

    @torch.inference_mode()
    def logits(self, users: UserInputs, candidates: CandidateInputs) -> Floats:
        """Return the logits [B, C, T] for arrays as inputs."""
        return self(self.encode_user(as_tensors(users)), as_tensors(candidates)).numpy()

    def split_candidate_weight(self) -> tuple[Tensor, ...]:
        """Return the weights of the first layer for the candidates' own features, for embeddings, and for matches."""
        own, match = self.features.width, self.matches.width
        weight_HX = self.from_candidate.weight
        return weight_HX.tensor_split([own, weight_HX.shape[1] - match], dim=1)

    def _dense_outputs(self, candidates: CandidateInputs) -> tuple[Tensor, Tensor | None]:
        """Return the first layer [B, C, H] and the wide skip connection [B, C, T] of the candidates' dense features."""
        own_BCF, matches_BCM = candidates.features_BCF, candidates.matches_BCM[..., : self.match_feature_count]
        own_BCY, match_BCY = self.features(own_BCF), self.matches(matches_BCM)
        # Separate products avoid a copy of the dense features and the computation of their gradient.
        own_weight, _, match_weight = self.split_candidate_weight()
        hidden_BCH = own_BCY @ own_weight.T + match_BCY @ match_weight.T
        if self.wide_skip_connection is None:
            return hidden_BCH, None
        begin = self.context.width
        _, own_weight, match_weight = self.wide_skip_connection.weight.tensor_split(
            [begin, begin + own_BCY.shape[-1]], dim=1
        )
        return hidden_BCH, own_BCY @ own_weight.T + match_BCY @ match_weight.T

    def forward(self, state: UserState, candidates: CandidateInputs) -> Tensor:
        """Return logits [B, C, T], tasks in the order of `tasks`."""
        item_BCD = self.embedding.embed_tracks(candidates.track_BC, candidates.artist_BC)
        interest_BCX = self.interest(state, item_BCD)
        interests_BCID = interest_BCX.unflatten(-1, (-1, item_BCD.shape[-1]))
        product_BCX = (interests_BCID * item_BCD.unsqueeze(2)).flatten(2)
        parts_BCY = torch.cat([item_BCD, interest_BCX, product_BCX], dim=-1)
        dense_BCH, wide_BCT = self._dense_outputs(candidates)
        hidden_BCH = parts_BCY @ self.split_candidate_weight()[1].T + dense_BCH
        hidden_BCH = hidden_BCH + (state.hidden_BH + self.from_candidate.bias).unsqueeze(1)
        logits_BCT: Tensor = self.head(self.activation(hidden_BCH))
        if self.wide_skip_connection is not None and wide_BCT is not None:
            user_weight = self.wide_skip_connection.weight[:, : self.context.width]
            logits_BCT = logits_BCT + wide_BCT + (state.dense_features_BY @ user_weight.T).unsqueeze(1)
        if self.tree_weights_T is None or not self.tree_weights_T.any():
            return logits_BCT
        return torch.lerp(logits_BCT, cast(Tensor, candidates.tree_logits_BCT), self.tree_weights_T)

    def set_tree_weights(self, weights: Sequence[float]) -> None:
        """Set the share of the trees in the logit of each task; none for a ranker without trees."""
        if self.tree_weights_T is not None and weights:
            self.tree_weights_T = self.tree_weights_T.new_tensor(weights)


def as_tensors(inputs: Any) -> Any:
    """Return inputs, a dataclass of arrays and of such dataclasses, with tensors in their place."""
    if isinstance(inputs, np.ndarray):
        return torch.from_numpy(inputs)
    if not is_dataclass(inputs) or isinstance(inputs, type):
        return inputs
    return replace(inputs, **{field.name: as_tensors(getattr(inputs, field.name)) for field in fields(inputs)})
