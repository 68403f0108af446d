"""Sum-pooling ranker, the baseline: the interest is the mean of the history's events, the same for every candidate.

Covington, Adams, Sargin 2016, "Deep Neural Networks for YouTube Recommendations" (its ranking network averages the
embeddings of watched videos). Differs: multi-task logits instead of weighted watch time, piecewise-linear dense
features instead of their powers. The candidate has its own statistics and embedding.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from training.nn.ranker_layers import masked_mean
from training.ranking.ranker import Ranker, RankerConfig, UserState, ranker_config


class SumPooling(Ranker[RankerConfig]):
    """One interest for all candidates."""

    name: ClassVar[str] = "sum_pooling"
    feature_service: ClassVar[str] = "sum_pooling"

    @classmethod
    def config(cls, recipe: str) -> RankerConfig:
        """Return the shared config, without hard search."""
        return ranker_config(recipe)

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """Return the mean of the valid events, the same for every candidate."""
        return masked_mean(state.events_BLD, state.mask_BL).unsqueeze(1).expand_as(item_BCD)
