"""Studies by name: `python -m training.ablations NAME`. A new one is a file beside this and a line here."""

from __future__ import annotations

from training.ablations.grid import Ablation
from training.ablations.ranking import RANKING_HISTORY
from training.ablations.ranking_attention import RANKING_ATTENTION
from training.ablations.ranking_peers import RANKING_PEERS
from training.ablations.recall import RECALL_BLOCK, RECALL_CONTENT, RECALL_INTERESTS, RECALL_LIFTING, RECALL_SKIPS
from training.ablations.session_domains import SESSION_DOMAINS, SESSION_LENGTH
from training.ablations.session_impressions import SESSION_IMPRESSIONS

ABLATIONS: dict[str, Ablation] = {
    study.name: study
    for study in (
        RECALL_BLOCK,
        RECALL_INTERESTS,
        RECALL_LIFTING,
        RECALL_CONTENT,
        RECALL_SKIPS,
        RANKING_HISTORY,
        RANKING_ATTENTION,
        RANKING_PEERS,
        SESSION_DOMAINS,
        SESSION_LENGTH,
        SESSION_IMPRESSIONS,
    )
}
