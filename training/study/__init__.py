"""Studies by name: `python -m training.study NAME`. A new one is a file beside this and a line here."""

from __future__ import annotations

from training.study.grid import Ablation
from training.study.ranking_attention import RANKING_ATTENTION
from training.study.ranking_history import RANKING_HISTORY
from training.study.ranking_peers import RANKING_PEERS
from training.study.recall import RECALL_BLOCK, RECALL_CONTENT, RECALL_INTERESTS, RECALL_LIFTING, RECALL_SKIPS
from training.study.session_domains import SESSION_DOMAINS, SESSION_LENGTH
from training.study.session_impressions import SESSION_IMPRESSIONS

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
