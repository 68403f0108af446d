"""The networks of all rankers by name."""

from __future__ import annotations

from recommender.ranking.interest_evolution import InterestEvolution
from recommender.ranking.ranker import Ranker
from recommender.ranking.session_domains.model import SessionDomains
from recommender.ranking.target_attention import SumPooling, TargetAttention

RANKERS: dict[str, type[Ranker]] = {
    ranker.name: ranker for ranker in (SumPooling, TargetAttention, InterestEvolution, SessionDomains)
}
