"""Config of the realtime channel; `training/recipes/small.yaml` says what its fields mean."""

from __future__ import annotations

from dataclasses import dataclass

from training.engine.config_io import Section
from training.recall.neural_config import (
    NeuralChannelConfig,
    SequenceEncoderConfig,
    WindowLossConfig,
    WindowSamplingConfig,
)


@dataclass(frozen=True)
class TransitionConfig(Section):
    """Hyperparameters of the linear transition model, from which tuning starts; see `transitions.py`."""

    ridge: float = 10.0  # λ: ridge penalty as a multiple of the mean diagonal of the Gram matrix
    consistency_weight: float = 0.2  # a: weight of whole histories (SLIS) against splits (SLIT)
    past_decay: float = 0.5  # a listen d positions before a split counts exp(-past_decay · d)
    future_decay: float = 0.2  # a listen d positions after a split counts exp(-future_decay · d)
    split_age_decay: float = 0.02  # a split d positions before the user's newest split counts exp(-split_age_decay · d)
    query_decay: float = 0.2  # decay of the listens of a request


@dataclass(frozen=True)
class TransitionSearchConfig(Section):
    """Linear transitions whose scores are added to those of the network; see `BlendedSearch`."""

    is_enabled: bool
    max_items: int
    parameters: TransitionConfig | None = None  # None: tuned on validation
    weight: float | None = None  # weight of the transition scores against the network's; None: tuned on validation


@dataclass(frozen=True)
class RealtimeConfig(NeuralChannelConfig):
    """Configuration of the realtime channel."""

    encoder: SequenceEncoderConfig
    sampling: WindowSamplingConfig
    loss: WindowLossConfig
    transitions: TransitionSearchConfig
    discovery_share: float

    def __post_init__(self) -> None:
        if self.transitions.is_enabled and self.index.exact_up_to is not None:
            raise ValueError(
                f"transitions.is_enabled=True needs a score for every track, but "
                f"index.exact_up_to={self.index.exact_up_to} allows approximate search; "
                "set index.exact_up_to=None or transitions.is_enabled=False"
            )
