"""The numbers of the realtime channel, by recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from training.recall.user_tower import Pooling


@dataclass(frozen=True)
class RealtimeConfig:
    """`length`: events of a window; `horizon`: a target is one of the next so many; `balance`: users are drawn by
    events ** balance; `least_plays` earn a track its own embedding; `positions`
    of a batch, drawn by chance, learn each task; `new_share` of the candidates are songs the user
    has not heard lately; `new_weight`: that task's share of the loss. `steps` is the length of the schedule;
    `stop_after`: the step that validation chose (None: choose).
    """

    pooling: Pooling = "attention"
    similarity: Literal["cosine", "dot"] = "cosine"
    temperature: float = 0.07
    width: int = 64
    length: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.1
    item_dropout: float = 0.1
    least_plays: int = 5
    horizon: int = 10
    balance: float = 0.5
    in_batch_negatives: int = 512
    uniform_negatives: int = 512
    positions: int = 1024
    new_weight: float = 0.5
    new_share: float = 0.5
    batch: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    warmup: int = 50
    steps: int = 400
    validate_every: int = 100
    patience: int = 3
    cases_per_user: int = 5
    seed: int = 0
    stop_after: int | None = None


def realtime_config(recipe: str) -> RealtimeConfig:
    """`debug` only shows that it runs; `small` takes two minutes on two cores for millions of plays."""
    small = RealtimeConfig()
    if recipe == "debug":
        return replace(small, width=16, layers=1, batch=16, steps=20, validate_every=10, cases_per_user=2)
    if recipe == "full":
        return replace(small, width=128, least_plays=3, batch=128, steps=8000, validate_every=500, cases_per_user=10)
    return small
