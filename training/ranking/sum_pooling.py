"""The baseline of the ladder: the history is the mean of its events, whatever the candidate is.

No view of the history depends on the candidate: it has its own statistics and embedding, and the user's one interest.

Covington, Adams, Sargin 2016, "Deep Neural Networks for YouTube Recommendations" (its ranking half averages the
embeddings of what was watched). Differs: multi-task logits instead of weighted watch time, piecewise-linear numbers
instead of their powers.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from training.nn.layers import masked_mean
from training.ranking.ranker import Ranker, RankerConfig, UserState
from training.ranking.recipes import ranker_config


class SumPooling(Ranker):
    """One interest for all candidates."""

    name: ClassVar[str] = "sum_pooling"
    feature_service: ClassVar[str] = "sum_pooling"

    @staticmethod
    def config(recipe: str) -> RankerConfig:
        """The same numbers as every rung of the ladder."""
        return ranker_config(recipe)

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """The mean of the valid events, the same for every candidate."""
        return masked_mean(state.events_BLD, state.mask_BL).unsqueeze(1).expand_as(item_BCD)
