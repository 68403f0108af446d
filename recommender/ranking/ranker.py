"""Base class of all rankers: the user is encoded once per request, then each candidate is scored independently.

A subclass defines how the history becomes an interest in a candidate. Embeddings, dense features and the task head are
the same for all; hard search in long histories is a switch of the config.

Shape letters: B requests, C candidates, L events, D width, I interests, T tasks, H hidden, U user features, Y encoded
dense features. Does not depend on files or training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from config.dataclass_io import Section
from recommender.nn.ranker_layers import Dice, MultilayerPerceptron, PiecewiseLinear
from recommender.ranking.event_embeddings import EventEmbedding, ItemFrequencies
from recommender.ranking.features.content_similarity import CONTENT_FEATURES
from recommender.ranking.features.genre_search import GENRE_FEATURES
from recommender.ranking.features.history_match import EVENT_MATCH_FEATURES, MATCH_FEATURES
from recommender.ranking.features.track_statistics import CANDIDATE_FEATURES
from recommender.ranking.features.user_features import LONG_WINDOWS, USER_FEATURES
from recommender.ranking.inputs import CandidateInputs, UserInputs
from recommender.ranking.session_domains.layers import MultiGateExperts

SCENE_CODES, POSITIONS = 16, 64


@dataclass(frozen=True)
class NetworkConfig(Section):
    """Size and parts of the network."""

    width: int
    hidden: tuple[int, ...]
    pieces: int
    minimum_count: int
    id_dropout: float
    dropout: float
    wide_skip_connection: bool
    experts: int
    position_bias: bool


@dataclass(frozen=True)
class FeatureConfig(Section):
    """Inputs of a ranker."""

    hard_search: bool
    genres: bool
    content: bool
    searches: bool
    plays: int
    impressions: int
    profile_fields: tuple[str, ...] = ()  # further user features (`view__field`); the fit reads them from Feast
    statistics_fields: tuple[str, ...] = ()  # further columns of `track_statistics`; the fit reads them from its schema

    @property
    def user_feature_count(self) -> int:
        """Number of user features without the features of further searches, which only trees read."""
        return USER_FEATURES + len(LONG_WINDOWS) * self.hard_search + len(self.profile_fields)

    @property
    def match_feature_count(self) -> int:
        """Number of candidate features from the searched histories that networks read."""
        parts = (
            (True, MATCH_FEATURES),
            (self.impressions > 0, 2 * EVENT_MATCH_FEATURES),
            (self.genres, GENRE_FEATURES),
            (self.content, CONTENT_FEATURES),
        )
        return sum(columns for is_read, columns in parts if is_read and self.hard_search)


@dataclass(frozen=True)
class TreeConfig(Section):
    """Boosted trees over all dense features, blended with the network's logits; weights are fitted on validation."""

    count: int
    leaves: int
    learning_rate: float
    cases: int
    counts: tuple[int, ...] = ()  # number of trees of each task; empty: chosen on validation, or `count` without it
    weights: tuple[float, ...] = ()  # share of the trees in each task's logit, 0..1; empty: fitted


@dataclass(frozen=True)
class TrainingConfig(Section):
    """Training data, loss and optimizer."""

    cases: int
    batch_size: int
    dense_epochs: int
    learning_rate: float
    auxiliary_weight: float
    steps: int = 0  # length of the one-cycle schedule; 0: as many as the epochs have (the fit writes them here)
    loss_weights: Mapping[str, float] = field(
        default_factory=dict
    )  # task → weight of its loss; older releases do not have it
    planned_cases: int = 0  # cases that the steps were planned for; 0: the cases of the fit (which writes them here)


@dataclass(frozen=True)
class ValidationConfig(Section):
    """Validation during training, and calibration on the validation part."""

    every: int
    early_stopping_step: int | None = None  # train exactly this many steps; None: chosen on validation
    temperatures: tuple[float, ...] = ()  # divisor of each task's logit; empty: fitted


@dataclass(frozen=True)
class RankerConfig(Section):
    """Configuration of a ranker; one with its own parts extends this class by a field.

    `training/recipes/small.yaml` says what the fields mean; those with a default are filled in by the fit.
    """

    network: NetworkConfig
    features: FeatureConfig
    trees: TreeConfig
    training: TrainingConfig
    validation: ValidationConfig
    seed: int


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

    def program(self) -> Any:
        """Return the network with its present weights for one request, compiled; None if there is none.

        See `SessionDomainsProgram`.
        """
        return None

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
