"""The numbers of the long_short channel, by recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from training.content.track_content import ContentUse

Lifting = Literal["off", "bypass", "dormant", "both"]


@dataclass(frozen=True)
class LongShortConfig:
    """`length`: events that make the short-term interest; `remembered`: tracks that make the long-term one and may be
    repeated; `lifting`: see `LongShortNetwork`; `gate` off: the mean of both interests; `new_share`: share of the
    answer that is new to the user (None: the one of `new_shares` that validation likes best); `targets` of a session,
    drawn by chance, teach the item vectors, and so do `positions` of as many windows of events; `balance`: users are
    drawn by sessions ** balance; `skip_negatives`: a track that the user skips soon is held against each position.
    `steps` is the length of the schedule; `stop_after`: the step that validation chose (None: choose).
    `exact_up_to` distinct item vectors are searched exactly (None: any number); `probes`: lists that a
    query reads beyond that (None: it searches exactly).

    `content`: which tracks' content the item tower sees (`training.content.track_content`); `id_dropout`: see `ItemTower`; a track that
    nobody has played is found, always by exact search, from the score on that 1 - `boundary_quantile` of the positives
    reach (`guarded_index`): `boundaries`, by task (None: learned on validation).
    """

    lifting: Lifting = "both"
    gate: bool = True
    width: int = 64
    length: int = 50
    layers: int = 1
    heads: int = 2
    hidden: int = 64
    max_repeat_items: int = 600
    min_plays: int = 5
    temperature: float = 0.07
    dropout: float = 0.1
    item_dropout: float = 0.1
    user_sampling_exponent: float = 0.5
    min_history_plays: int = 20
    targets_per_session: int = 16
    positions_per_batch: int = 1024
    in_batch_negatives: int = 512
    uniform_negatives: int = 512
    skip_negatives: bool = False
    item_loss_weight: float = 0.5
    discovery_share: float | None = None
    discovery_share_grid: tuple[float, ...] = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    warmup: int = 30
    steps: int = 200
    validate_every: int = 100
    patience: int = 3
    cases_per_user: int = 5
    seed: int = 0
    content: ContentUse = "described"
    id_dropout: float = 0.3
    cold_item_quantile: float = 0.25
    cold_item_thresholds: dict[str, float] | None = None
    early_stopping_step: int | None = None
    exact_up_to: int | None = None
    probes: int | None = None

    def __post_init__(self) -> None:
        # JSON has lists only; a config read from it equals the one that was written.
        object.__setattr__(self, "discovery_share_grid", tuple(self.discovery_share_grid))


def long_short_config(recipe: str) -> LongShortConfig:
    """`debug` only shows that it runs; `small` takes about two minutes on one core for millions of plays; `sequences`
    is for plain sequences of items (`training.benchmarks.sequences`).
    """
    small = LongShortConfig()
    if recipe == "debug":
        return replace(small, width=16, hidden=16, batch=16, steps=20, validate_every=10, cases_per_user=2, warmup=5)
    if recipe == "sequences":
        return replace(
            small,
            max_repeat_items=200,
            min_plays=1,
            min_history_plays=2,
            steps=600,
            validate_every=100,
            cases_per_user=1,
        )
    if recipe == "full":
        return replace(
            small,
            width=128,
            layers=2,
            min_plays=3,
            max_repeat_items=1000,
            batch=128,
            steps=1000,
            validate_every=250,
            cases_per_user=15,
            exact_up_to=200_000,
        )
    return small
