"""The candidate looks at the history: softly at the recent events, by exact match at the long ones.

Soft: each recent event weighs as much as it matters for this candidate. Zhou et al. 2018, "Deep Interest Network for
Click-Through Rate Prediction", 1706.06978. Differs: the event carries its behaviour, its age and how much was played
beside its ids; the candidate's features stand beside the interest. Hard: the config's `hard_search` (`hard_search.py`),
without which this is DIN alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from torch import Tensor

from training.nn.layers import AttentionUnit
from training.ranking.event_embeddings import ItemFrequencies
from training.ranking.ranker import Ranker, RankerConfig, UserState
from training.ranking.recipes import ranker_config


@dataclass(frozen=True)
class TargetAttentionConfig(RankerConfig):
    """`attention`: hidden widths of the attention unit, 36 in the paper's figure and 80, 40 in its code."""

    attention: tuple[int, ...] = (36,)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "attention", tuple(self.attention))


class TargetAttention(Ranker):
    """One interest for each candidate."""

    name: ClassVar[str] = "target_attention"
    feature_service: ClassVar[str] = "target_attention"
    config_class: ClassVar[type[RankerConfig]] = TargetAttentionConfig

    def __init__(self, config: TargetAttentionConfig, catalogue: ItemFrequencies, tasks: tuple[str, ...]) -> None:
        super().__init__(config, catalogue, tasks)
        self.attention = AttentionUnit(config.width, config.attention)

    @staticmethod
    def config(recipe: str) -> TargetAttentionConfig:
        """The same numbers as every rung of the ladder, and hard search."""
        return TargetAttentionConfig(**(asdict(ranker_config(recipe)) | {"hard_search": True}))

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """The events summed by their weight for the candidate, on the scale of a mean."""
        length_B11 = state.mask_BL.sum(1).clamp(min=1)[:, None, None]
        return self.attention(item_BCD, state.events_BLD, state.mask_BL) / length_B11  # type: ignore[no-any-return]
