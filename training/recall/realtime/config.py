"""The numbers of the realtime channel, by recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from training.content.track_content import ContentUse
from training.nn.user_tower import BlockKind, Pooling
from training.recall.realtime.transitions import TransitionConfig
from training.recall.window_sampler import WindowKind


@dataclass(frozen=True)
class RealtimeConfig:
    """`length`: events of a window; `horizon`: a target is one of the next so many; `balance`: users are drawn by
    events ** balance; `least_plays` earn a track its own embedding; `positions`
    of a batch, drawn by chance, learn each task; `new_share` of the candidates are songs the user
    has not heard lately; `new_weight`: that task's share of the loss; a task that fills nothing is not learned. `softmax`
    over the whole catalogue instead of drawn negatives, with `label_smoothing`; `skip_negatives`: a drawn softmax also holds
    a track that the user skips soon against each position; `windows`: `full` ones reach back
    `length` events wherever the user has them; with `trim` short ones are run apart, without the places that they
    leave empty. `judged_at`: the cutoffs at which validation looks, on `most_cases` (None: all). `steps` is the length of the schedule;
    `stop_after`: the step that validation chose (None: choose). `exact_up_to` distinct item vectors are searched
    exactly (None: any number); `probes`: lists that a query reads beyond that (None: it searches exactly).

    `content`: which tracks' content the item tower sees (`training.content.track_content`); `id_dropout`: see `ItemTower`; a track that
    nobody has played is found, always by exact search, from the score on that 1 - `boundary_quantile` of the positives
    reach (`guarded_index`): `boundaries`, by task (None: learned on validation).

    `transitions`: linear ones are added to the network's scores, over at most `transitions_up_to` tracks listened to, beyond
    which it goes without; `transition_numbers`, and `transition_weight` beside the network (None: choose on validation).
    """

    pooling: Pooling = "attention"
    block: BlockKind = "residual"
    similarity: Literal["cosine", "dot"] = "cosine"
    temperature: float = 0.07
    width: int = 64
    length: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.1
    item_dropout: float = 0.1
    min_plays: int = 5
    horizon: int = 10
    user_sampling_exponent: float = 0.5
    window_kind: WindowKind = "any"
    length_bucketing: bool = False
    softmax: Literal["sampled", "full"] = "sampled"
    label_smoothing: float = 0.0
    in_batch_negatives: int = 512
    uniform_negatives: int = 512
    skip_negatives: bool = False
    positions_per_batch: int = 1024
    discovery_loss_weight: float = 0.5
    discovery_share: float = 0.5
    batch: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    warmup: int = 50
    steps: int = 500
    validate_every: int = 250
    patience: int = 3
    cases_per_user: int = 5
    max_validation_cases: int | None = None
    eval_cutoffs: tuple[int, int] = (50, 200)
    seed: int = 0
    content: ContentUse = "described"
    id_dropout: float = 0.3
    cold_item_quantile: float = 0.25
    cold_item_thresholds: dict[str, float] | None = None
    early_stopping_step: int | None = None
    exact_up_to: int | None = None
    probes: int | None = None
    transitions: bool = False
    max_transition_items: int = 24_000
    transition_config: TransitionConfig | None = None
    transition_weight: float | None = None

    def __post_init__(self) -> None:
        # JSON has lists and objects only; a config read from it equals the one that was written.
        object.__setattr__(self, "eval_cutoffs", tuple(self.eval_cutoffs))
        if isinstance(self.transition_config, dict):
            object.__setattr__(self, "transition_config", TransitionConfig(**self.transition_config))
        if self.similarity == "dot" and self.exact_up_to is not None:
            raise ValueError(
                f"similarity='dot' needs exact search, and exact_up_to={self.exact_up_to} would end it; set exact_up_to=None, "
                "or similarity='cosine'"
            )
        if self.transitions and self.exact_up_to is not None:
            raise ValueError(
                f"transitions=True needs a score of every track, and exact_up_to={self.exact_up_to} may end that; set "
                "exact_up_to=None, or transitions=False"
            )


def realtime_config(recipe: str) -> RealtimeConfig:
    """`debug` only shows that it runs; `small` takes a minute of one core for millions of plays; `sequences` is for
    plain sequences of items (`training.benchmarks.sequences`).
    """
    small = RealtimeConfig()
    if recipe == "debug":
        return replace(small, width=16, layers=1, batch=16, steps=20, validate_every=10, cases_per_user=2)
    if recipe == "sequences":
        return replace(
            small,
            length=50,
            min_plays=1,
            horizon=1,
            window_kind="full",
            softmax="full",
            discovery_share=0.0,
            discovery_loss_weight=1.0,
            eval_cutoffs=(10, 20),
            cases_per_user=1,
            max_validation_cases=2000,
            length_bucketing=True,
            block="gated",
            layers=1,
            learning_rate=1e-2,
            item_dropout=0.5,
            steps=2000,
            validate_every=250,
            transitions=True,
        )
    if recipe == "full":
        return replace(
            small,
            width=128,
            min_plays=3,
            batch=128,
            steps=6000,
            validate_every=1000,
            cases_per_user=10,
            exact_up_to=200_000,
        )
    return small
