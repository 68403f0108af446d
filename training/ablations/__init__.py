"""Registry of ablations, run by `python -m training.ablations NAME`. A new one is a module here and a line below."""

from __future__ import annotations

from training.ablations.grid import Ablation
from training.ablations.ranking import (
    RANKING_ATTENTION,
    RANKING_HISTORY,
    RANKING_PEERS,
    SESSION_DOMAINS,
    SESSION_IMPRESSIONS,
    SESSION_LENGTH,
)
from training.ablations.recall import (
    RECALL_BLOCK,
    RECALL_CONTENT,
    RECALL_INTERESTS,
    RECALL_LIFTING,
    RECALL_ORDER,
    RECALL_REPEATS,
)

ABLATIONS: dict[str, Ablation] = {
    ablation.name: ablation
    for ablation in (
        RECALL_BLOCK,
        RECALL_INTERESTS,
        RECALL_LIFTING,
        RECALL_ORDER,
        RECALL_REPEATS,
        RECALL_CONTENT,
        RANKING_HISTORY,
        RANKING_ATTENTION,
        RANKING_PEERS,
        SESSION_DOMAINS,
        SESSION_LENGTH,
        SESSION_IMPRESSIONS,
    )
}
