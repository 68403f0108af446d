"""Configs of rankers. `training/recipes/small.yaml` says what the fields mean; those with a default are filled in by the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from config.dataclass_io import Section
from recommender.ranking.features.content_similarity import CONTENT_FEATURES
from recommender.ranking.features.genre_search import GENRE_FEATURES
from recommender.ranking.features.history_match import EVENT_MATCH_FEATURES, MATCH_FEATURES
from recommender.ranking.features.user_features import LONG_WINDOWS, USER_FEATURES


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
    """Configuration of a ranker; one with its own parts extends this class by a field."""

    network: NetworkConfig
    features: FeatureConfig
    trees: TreeConfig
    training: TrainingConfig
    validation: ValidationConfig
    seed: int
