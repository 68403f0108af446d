"""Target-attention ranker (DIN): each candidate attends to the recent events and is looked up in the long histories.

Soft attention weighs each recent event by its relevance to the candidate: Zhou et al. 2018, "Deep Interest Network for
Click-Through Rate Prediction", 1706.06978. Differs: an event carries its behavior, its age and its played ratio in
addition to its ids; the candidate's dense features are concatenated with the interest. Hard search finds exact matches of track and artist
(`features/history_match.py`); without `features.hard_search` this is DIN alone.

Sum-pooling ranker, the baseline: the interest is the mean of the history's events, the same for every candidate.

Covington, Adams, Sargin 2016, "Deep Neural Networks for YouTube Recommendations" (its ranking network averages the
embeddings of watched videos). Differs: multi-task logits instead of weighted watch time, piecewise-linear dense
features instead of their powers. The candidate has its own statistics and embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from recommender.nn.ranker_layers import AttentionUnit, masked_mean
from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.ranker import Ranker, UserState
from recommender.ranking.ranker_config import RankerConfig


@dataclass(frozen=True)
class TargetAttentionConfig(RankerConfig):
    """Configuration of `target_attention`."""

    attention: tuple[int, ...]


class TargetAttention(Ranker):
    """One interest for each candidate."""

    name: ClassVar[str] = "target_attention"
    feature_service: ClassVar[str] = "target_attention"
    config_class: ClassVar[type[RankerConfig]] = TargetAttentionConfig

    def __init__(self, config: TargetAttentionConfig, catalog: ItemFrequencies, tasks: tuple[str, ...]) -> None:
        super().__init__(config, catalog, tasks)
        self.attention = AttentionUnit(config.network.width, config.attention)

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """Return the attention-weighted sum of the events, divided by their number [B, C, D]."""
        length_B11 = state.mask_BL.sum(1).clamp(min=1)[:, None, None]
        return self.attention(item_BCD, state.events_BLD, state.mask_BL) / length_B11


class SumPooling(Ranker):
    """One interest for all candidates."""

    name: ClassVar[str] = "sum_pooling"
    feature_service: ClassVar[str] = "sum_pooling"

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """Return the mean of the valid events, the same for every candidate."""
        return masked_mean(state.events_BLD, state.mask_BL).unsqueeze(1).expand_as(item_BCD)
