"""The numbers of the multi_interest channel, by recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from training.content.track_content import ContentUse

Extractor = Literal["routing", "attention"]


@dataclass(frozen=True)
class MultiInterestConfig:
    """`extractor`: dynamic routing (MIND, ComiRec-DR) or self-attention (ComiRec-SA); `interests`: at most so many,
    K; `rounds` of routing from each of `starts`; `sharpness` multiplies the agreement by which routing decides; `power` of the label-aware
    attention (None: hard, a target teaches its best interest alone). Interests whose cosine is above `alike` are one,
    and one that holds less than `least_share` of the listens is none.

    `length`: listens that interests are made of; `targets`: places after them at which something is asked for, which
    is one of the next `horizon` listened tracks; `balance`: users are drawn by events ** balance; `least_plays` earn a
    track its own embedding; `new_share` of the candidates are songs the user has not heard lately; `new_weight`: that
    task's share of the loss; `skip_negatives`: a track that the user skips soon is held against each target.
    `steps` is the length of the schedule; `stop_after`: the step that validation chose
    (None: choose). `exact_up_to` distinct item vectors are searched exactly (None: any number); `probes`: lists that
    a query reads beyond that (None: it searches exactly).

    `content`: which tracks' content the item tower sees (`training.content.track_content`); `id_dropout`: see `ItemTower`; a track that
    nobody has played is found, always by exact search, from the score on that 1 - `boundary_quantile` of the positives
    reach (`guarded_index`): `boundaries`, by task (None: learned on validation).
    """

    extractor: Extractor = "routing"
    interests: int = 4
    routing_iterations: int = 3
    routing_restarts: int = 8
    routing_sharpness: float = 16.0
    label_attention_power: float | None = None
    merge_cosine_threshold: float = 0.5
    min_interest_share: float = 0.05
    width: int = 64
    length: int = 256
    targets_per_window: int = 16
    horizon: int = 10
    temperature: float = 0.07
    item_dropout: float = 0.1
    min_plays: int = 5
    user_sampling_exponent: float = 0.5
    in_batch_negatives: int = 512
    uniform_negatives: int = 512
    skip_negatives: bool = False
    discovery_loss_weight: float = 0.5
    discovery_share: float = 0.5
    batch: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    warmup: int = 50
    steps: int = 300
    validate_every: int = 150
    patience: int = 3
    cases_per_user: int = 3
    seed: int = 0
    content: ContentUse = "described"
    id_dropout: float = 0.3
    cold_item_quantile: float = 0.25
    cold_item_thresholds: dict[str, float] | None = None
    early_stopping_step: int | None = None
    exact_up_to: int | None = None
    probes: int | None = None


def multi_interest_config(recipe: str) -> MultiInterestConfig:
    """`debug` only shows that it runs; `small` takes about a minute on one core for millions of plays."""
    small = MultiInterestConfig()
    if recipe == "debug":
        return replace(small, width=16, length=64, batch=16, steps=20, warmup=5, validate_every=10, cases_per_user=2)
    if recipe == "full":
        return replace(
            small,
            width=128,
            min_plays=3,
            batch=128,
            steps=3000,
            validate_every=500,
            cases_per_user=10,
            exact_up_to=200_000,
        )
    return small
