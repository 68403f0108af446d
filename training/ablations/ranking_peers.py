"""Our rungs beside what others would use: boosted trees on numbers of the log, and another library's DIN and DIEN."""

from __future__ import annotations

from itertools import product

from training.ablations.grid import Ablation, Cell

CASES = 100_000
RANKER_LEVELS = ("sum_pooling", "target_attention", "interest_evolution", "session_domains")
PEER_RANKERS = ("gbdt", "DIN", "DIEN")
WITHOUT_NEGATIVES = "session_domains without negative domains"

RANKING_PEERS = Ablation(
    name="ranking_peers",
    question="How do our rungs stand beside LightGBM on 26 numbers of the log and torch-rechub's unmodified DIN and DIEN? "
    f"Each learns from the same plays, the newest share of every user, {CASES:,} in all; torch-rechub reads the 50 newest "
    "tracks, the candidate and the hour, in one pass, at the widths of our rankers.",
    cells=(
        *(Cell(name, name, {"cases": CASES}) for name in RANKER_LEVELS),
        Cell(WITHOUT_NEGATIVES, RANKER_LEVELS[-1], {"cases": CASES, "negative_feedback": False}),
        *(Cell(name, name, {"cases": CASES}) for name in PEER_RANKERS),
    ),
    pairs=(
        *((RANKER_LEVELS[high], RANKER_LEVELS[low]) for high in range(len(RANKER_LEVELS)) for low in range(high)),
        (RANKER_LEVELS[-1], WITHOUT_NEGATIVES),
        *product(RANKER_LEVELS[1:], PEER_RANKERS),
    ),
)
