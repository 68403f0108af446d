"""Config of the realtime channel, and its recipes."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.engine.config_io import change_config
from training.recall.neural_config import (
    EXACT_SEARCH_LIMIT,
    NeuralChannelConfig,
    SequenceEncoderConfig,
    WindowLossConfig,
    WindowSamplingConfig,
)


@dataclass(frozen=True)
class TransitionConfig:
    """Hyperparameters of the linear transition model; see `transitions.py`."""

    ridge: float = 10.0  # λ: ridge penalty as a multiple of the mean diagonal of the Gram matrix
    consistency_weight: float = 0.2  # a: weight of whole histories (SLIS) against splits (SLIT)
    past_decay: float = 0.5  # a listen d positions before a split counts exp(-past_decay · d)
    future_decay: float = 0.2  # a listen d positions after a split counts exp(-future_decay · d)
    split_age_decay: float = 0.02  # a split d positions before the user's newest split counts exp(-split_age_decay · d)
    query_decay: float = 0.2  # decay of the listens of a request


@dataclass(frozen=True)
class TransitionSearchConfig:
    """Linear transitions whose scores are added to those of the network; see `BlendedSearch`."""

    is_enabled: bool = False
    max_items: int = (
        24_000  # listened tracks up to which a transition matrix is fitted (4 bytes · max_items² of memory)
    )
    parameters: TransitionConfig | None = None  # None: tuned on validation
    weight: float | None = None  # weight of the transition scores against the network's; None: tuned on validation


@dataclass(frozen=True)
class RealtimeConfig(NeuralChannelConfig):
    """Configuration of the realtime channel."""

    encoder: SequenceEncoderConfig = field(default_factory=SequenceEncoderConfig)
    sampling: WindowSamplingConfig = field(default_factory=WindowSamplingConfig)
    loss: WindowLossConfig = field(default_factory=WindowLossConfig)
    transitions: TransitionSearchConfig = field(default_factory=TransitionSearchConfig)
    discovery_share: float = (
        0.5  # fraction of candidates that are new to the user; tasks without a share are not trained
    )

    def __post_init__(self) -> None:
        if self.transitions.is_enabled and self.index.exact_up_to is not None:
            raise ValueError(
                f"transitions.is_enabled=True needs a score for every track, but "
                f"index.exact_up_to={self.index.exact_up_to} allows approximate search; "
                "set index.exact_up_to=None or transitions.is_enabled=False"
            )


def realtime_config(recipe: str) -> RealtimeConfig:
    """The config of a recipe.

    `debug` checks that the code runs; `small` takes about a minute on one core for millions of plays; `full` is for the
    best model; `sequences` is for plain item sequences (`research.public_data.sequences`).
    """
    small = RealtimeConfig()
    if recipe == "debug":
        return change_config(
            small,
            {
                "items.width": 16,
                "encoder.layers": 1,
                "sampling.batch": 16,
                "optimizer.steps": 20,
                "validation.validate_every": 10,
                "validation.cases_per_user": 2,
            },
        )
    if recipe == "sequences":
        return change_config(
            small,
            {
                "items.min_plays": 1,
                "items.item_dropout": 0.5,
                "encoder.block": "gated",
                "encoder.history_length": 50,
                "encoder.layers": 1,
                "sampling.horizon": 1,
                "sampling.window_kind": "full",
                "sampling.length_bucketing": True,
                "loss.softmax": "full",
                "loss.discovery_weight": 1.0,
                "optimizer.learning_rate": 1e-2,
                "optimizer.steps": 2000,
                "optimizer.max_passes": None,
                "validation.validate_every": 250,
                "validation.cases_per_user": 1,
                "validation.max_cases": 2000,
                "validation.eval_cutoffs": (10, 20),
                "transitions.is_enabled": True,
                "discovery_share": 0.0,
            },
        )
    if recipe == "full":
        return change_config(
            small,
            {
                "items.width": 128,
                "items.min_plays": 3,
                "sampling.batch": 128,
                "optimizer.steps": 6000,
                "validation.validate_every": 1000,
                "validation.cases_per_user": 10,
                "index.exact_up_to": EXACT_SEARCH_LIMIT,
            },
        )
    return small
