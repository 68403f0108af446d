"""Rankers by name. Training, evaluation, serving and the conformance tests iterate over this table."""

from __future__ import annotations

from training.ranking.interest_evolution import InterestEvolution
from training.ranking.ranker import Ranker, RankerConfig
from training.ranking.session_domains.model import SessionDomains
from training.ranking.target_attention import SumPooling, TargetAttention

RANKERS: dict[str, type[Ranker[RankerConfig]]] = {
    ranker.name: ranker for ranker in (SumPooling, TargetAttention, InterestEvolution, SessionDomains)
}
