"""What every ranker is: a user encoded once a request, candidates scored beside each other and apart from each other.

A rung of the ladder says how the history becomes an interest, and whether hard search stands beside it (a switch of the
config); embeddings, features and head are the same for all.

Shape letters: B requests, C candidates, L events, D width, T tasks, H hidden. Knows nothing about files or training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.nn.layers import Dice, MultilayerPerceptron, PiecewiseLinear
from training.ranking.event_embeddings import EventEmbedding, ItemFrequencies
from training.ranking.features.candidate_features import CANDIDATE_FEATURES
from training.ranking.features.search_registry import count_match_features, count_user_features
from training.ranking.features.user_features import USER_FEATURES
from training.ranking.inputs import CandidateInputs, UserInputs
from training.ranking.session_domains.layers import MultiGateExperts

SCENE_CODES, POSITIONS = 16, 64


@dataclass(frozen=True)
class RankerConfig:
    """Numbers of a ranker and of its training.

    What is read: `hard_search` looks the candidate up in the long histories (`hard_search.py`), and with `kinds` asks them how
    music of its kinds went (`kind_search.py`); `searches` say what else it
    asks of them (names of `searches.SEARCHES`), which only trees read; `plays` of the newest plays are a sequence beside
    the recent events (0: none), and of the tracks that were shown and left alone the newest `impressions` another (0: none);
    without `negatives` there are no impressions, and neither the plays, nor what was said, nor the searched histories hold
    a skip or a rejection. `minimum_count` plays in training earn a track or artist its own embedding.

    What is computed: `lift` carries the numbers (long-term profile, statistics, matches) past the deep layers to the
    logits; so many `trees` over all numbers have a say of the first task beside the network (0: none); `experts` share the
    head's work (0: one network for all tasks); `position_bias` lets training explain a part of every label by the place in
    which a track was shown.

    What is learned: at most `cases` training rows, the newest share of every user; `number_epochs` passes over their numbers
    alone, then `epochs` passes over everything, unless `steps` says how many batches in all; only the first `id_epochs` of
    the latter teach the embeddings of ids, which over-fit in later ones.
    The loss has `auxiliary_weight` of the ranker's `auxiliary_loss` in it. `tree_share` of the first task's logit is the
    trees', the rest the network's (negative: chosen on validation). `temperatures` (one a task; none: chosen on validation)
    divide the logits. `tree_shares` and `tree_shifts`: the same trees' share of the logit of each further task, and what
    is added to what they say, since they were grown for the first one (none: chosen on validation).
    """

    width: int = 32
    hidden: tuple[int, ...] = (128, 64)
    pieces: int = 24
    hard_search: bool = False
    genres: bool = False
    searches: tuple[str, ...] = ()
    plays: int = 0
    impressions: int = 0
    negative_feedback: bool = True
    wide_skip_connection: bool = False
    trees: int = 0
    experts: int = 0
    position_bias: bool = False
    minimum_count: int = 20
    id_dropout: float = 0.2
    dropout: float = 0.1
    auxiliary_weight: float = 0.5
    learning_rate: float = 2e-3
    weight_decay: float = 1e-5
    batch_size: int = 256
    cases: int = 400_000
    dense_epochs: int = 0
    epochs: int = 1
    id_epochs: int = 1
    steps: int = 0
    tree_weight: float = -1.0
    secondary_tree_weights: tuple[float, ...] = ()
    secondary_tree_offsets: tuple[float, ...] = ()
    temperatures: tuple[float, ...] = ()
    validation_cases: int = 20_000
    validate_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        # JSON has lists only; a config read from it equals the one that was written.
        object.__setattr__(self, "hidden", tuple(self.hidden))
        object.__setattr__(self, "temperatures", tuple(self.temperatures))
        for name in ("searches", "secondary_tree_weights", "secondary_tree_offsets"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.searches and not self.trees:
            raise ValueError(
                f"searches {', '.join(self.searches)} are read by trees only; set trees, or searches to none"
            )

    @property
    def effective_impressions(self) -> int:
        """How many impressions are read."""
        return self.impressions if self.negative_feedback else 0


@dataclass(frozen=True)
class UserState:
    """What `encode_user` keeps for the candidates: events with their mask, the user's part of the first layer, and the
    pieces of the user's numbers.
    """

    events_BLD: Tensor
    mask_BL: Tensor
    hidden_BH: Tensor
    dense_features_BY: Tensor


class Ranker(nn.Module, ABC):
    """Logits of every task for every candidate of every request.

    A candidate's logits depend on the request and on itself, never on the other candidates.
    """

    name: ClassVar[str]
    feature_service: ClassVar[str]
    config_class: ClassVar[type[RankerConfig]] = RankerConfig
    tree_weight: Tensor | None
    secondary_tree_weights: Tensor
    secondary_tree_offsets: Tensor

    def __init__(
        self, config: RankerConfig, catalogue: ItemFrequencies, tasks: tuple[str, ...], interests: int = 1
    ) -> None:
        super().__init__()
        width, (first, *rest) = config.width, config.hidden
        self.tasks, self.hard_search = tasks, config.hard_search
        self.embedding = EventEmbedding(catalogue, width, config.minimum_count, config.id_dropout)
        self.hour, self.weekday, self.scene = nn.Embedding(24, 8), nn.Embedding(7, 4), nn.Embedding(SCENE_CODES, 4)
        # Further searches stand behind these, and are for trees.
        self.user_feature_count = USER_FEATURES + count_user_features(config.hard_search, ())
        self.match_feature_count = count_match_features(
            config.hard_search, (), config.effective_impressions > 0, config.genres
        )
        self.context = PiecewiseLinear(self.user_feature_count, config.pieces)
        self.features = PiecewiseLinear(CANDIDATE_FEATURES, config.pieces)
        self.matches = PiecewiseLinear(self.match_feature_count, config.pieces)
        self.from_user = nn.Linear(self.context.width + 16, first)
        self.from_candidate = nn.Linear(self.features.width + self.matches.width + (1 + 2 * interests) * width, first)
        if config.dense_epochs:
            # Ids and histories begin with nothing to say beside numbers that have been learned.
            with torch.no_grad():
                begin, ids = self.features.width, (1 + 2 * interests) * width
                self.from_candidate.weight[:, begin : begin + ids].zero_()
        self.activation = nn.Sequential(Dice(first), nn.Dropout(config.dropout))
        if config.experts:
            self.head: nn.Module = MultiGateExperts(
                first, config.hidden[-1], len(tasks), config.experts, config.dropout
            )
        else:
            self.head = MultilayerPerceptron([first, *rest, len(tasks)], config.dropout)
        self.position = nn.Embedding(POSITIONS, len(tasks), padding_idx=0) if config.position_bias else None
        if self.position is not None:
            nn.init.zeros_(self.position.weight)
        numbers = self.context.width + self.features.width + self.matches.width
        self.wide_skip_connection = nn.Linear(numbers, len(tasks), bias=False) if config.wide_skip_connection else None
        # While the network learns it has no help; the fit sets the share.
        self.register_buffer("tree_weight", torch.zeros(()) if config.trees else None)
        for name in ("secondary_tree_weights", "secondary_tree_offsets"):
            self.register_buffer(name, torch.zeros(max(len(tasks) - 1, 0)), persistent=False)

    @staticmethod
    @abstractmethod
    def config(recipe: str) -> RankerConfig:
        """The ranker's numbers in a recipe."""

    @abstractmethod
    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """What the history says about each candidate [B, C, D]; zeros where there is no history.

        A ranker with several `interests` gives them side by side: [B, C, interests · D].
        """

    def auxiliary_loss(self, state: UserState, users: UserInputs) -> Tensor:  # noqa: ARG002
        """What training asks of the inside of a ranker, beside the tasks; zero where that is nothing."""
        return state.hidden_BH.new_zeros(())

    def fit_quantiles(self, users: UserInputs, candidates: CandidateInputs) -> None:
        """Place the pieces of numeric features on the quantiles of a sample of training rows; once, before training."""
        self.context.fit_quantiles(users.context_BU[:, : self.user_feature_count])
        self.features.fit_quantiles(candidates.features_BCF.flatten(0, 1))
        if self.hard_search:
            self.matches.fit_quantiles(candidates.matches_BCM[..., : self.match_feature_count].flatten(0, 1))

    def encode_user(self, users: UserInputs) -> UserState:
        """Everything that depends on the request alone, once for all of its candidates."""
        scene_B = users.scene_B.clamp(max=SCENE_CODES - 1)
        when_B16 = torch.cat([self.hour(users.hour_B), self.weekday(users.weekday_B), self.scene(scene_B)], dim=-1)
        numbers_BY = self.context(users.context_BU[:, : self.user_feature_count])
        # Apart: beside what is learned, the gradient of the numbers would be computed, which nobody needs.
        of_numbers, of_when = self.from_user.weight.tensor_split([numbers_BY.shape[-1]], dim=1)
        hidden_BH = torch.addmm(self.from_user.bias, when_B16, of_when.T).addmm_(numbers_BY, of_numbers.T)
        return UserState(self.embedding.embed_events(users), users.mask_BL, hidden_BH, numbers_BY)

    def position_bias(self, position_B: Tensor) -> Tensor | float:
        """What the place in an answer adds to the logits of what was shown there [B, T]; training only.

        Nobody looks at every place, so a track without a click at the end was perhaps not seen. Whoever ranks asks
        without a place: the tower is dropped (Gu et al. 2020, DMT; there it also reads the neighbours' places).
        """
        if self.position is None:
            return 0.0
        bias_BT: Tensor = self.position(position_B.clamp(max=POSITIONS - 1))
        return bias_BT

    def forward(self, state: UserState, candidates: CandidateInputs) -> Tensor:
        """Logits [B, C, T], tasks in the order of `tasks`."""
        item_BCD = self.embedding.embed_candidates(candidates)
        interest_BCX = self.interest(state, item_BCD)
        interests_BCID = interest_BCX.unflatten(-1, (-1, item_BCD.shape[-1]))
        alike_BCX = (interests_BCID * item_BCD.unsqueeze(2)).flatten(2)
        own_BCY, match_BCY = (
            self.features(candidates.features_BCF),
            self.matches(candidates.matches_BCM[..., : self.match_feature_count]),
        )
        parts_BCY = torch.cat([item_BCD, interest_BCX, alike_BCX], dim=-1)
        # The numbers are not copied beside the rest, and no gradient of them is computed.
        ends = [own_BCY.shape[-1], own_BCY.shape[-1] + parts_BCY.shape[-1]]
        of_own, of_parts, of_match = self.from_candidate.weight.tensor_split(ends, dim=1)
        hidden_BCH = parts_BCY @ of_parts.T + own_BCY @ of_own.T + match_BCY @ of_match.T
        hidden_BCH = hidden_BCH + (state.hidden_BH + self.from_candidate.bias).unsqueeze(1)
        logits_BCT: Tensor = self.head(self.activation(hidden_BCH))
        if self.wide_skip_connection is None:
            return self._blend_trees(logits_BCT, candidates)
        begin = state.dense_features_BY.shape[-1]
        of_user, of_own, of_match = self.wide_skip_connection.weight.tensor_split(
            [begin, begin + own_BCY.shape[-1]], dim=1
        )
        lifted_BCT: Tensor = (
            own_BCY @ of_own.T + match_BCY @ of_match.T + (state.dense_features_BY @ of_user.T).unsqueeze(1)
        )
        return self._blend_trees(logits_BCT + lifted_BCT, candidates)

    def _blend_trees(self, logits_BCT: Tensor, candidates: CandidateInputs) -> Tensor:
        share = self.tree_weight
        if share is None or not share:
            return logits_BCT
        if candidates.tree_logits_BC is None:
            raise ValueError(f"{self.name} was fitted with trees; make its candidates with RankingFeatures(trees=…)")
        said_BC1 = candidates.tree_logits_BC.unsqueeze(-1)
        first_BC1 = torch.lerp(logits_BCT[..., :1], said_BC1, share)
        further_BCT = torch.lerp(
            logits_BCT[..., 1:], said_BC1 + self.secondary_tree_offsets, self.secondary_tree_weights
        )
        return torch.cat([first_BC1, further_BCT], dim=-1)

    def set_tree_ensemble(self, config: RankerConfig) -> None:
        """Give the trees the shares of a settled config."""
        if self.tree_weight is not None:
            self.tree_weight = self.tree_weight.new_tensor(max(config.tree_weight, 0.0))
            for name in ("secondary_tree_weights", "secondary_tree_offsets"):
                chosen = getattr(config, name) or [0.0] * len(self.secondary_tree_weights)
                setattr(self, name, self.tree_weight.new_tensor(chosen))
