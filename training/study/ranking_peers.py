"""Our rungs beside what others would use: boosted trees on numbers of the log, and another library's DIN and DIEN."""

from __future__ import annotations

from itertools import product

from training.study.grid import Cell, Study

CASES = 100_000
RUNGS = ("sum_pooling", "target_attention", "interest_evolution", "session_domains")
OTHERS = ("gbdt", "DIN", "DIEN")
WITHOUT_NEGATIVES = "session_domains without negative domains"

RANKING_PEERS = Study(
    name="ranking_peers",
    question="How do our rungs stand beside LightGBM on 26 numbers of the log and torch-rechub's unmodified DIN and DIEN? "
    f"Each learns from the same plays, the newest share of every user, {CASES:,} in all; torch-rechub reads the 50 newest "
    "tracks, the candidate and the hour, in one pass, at the widths of our rankers.",
    cells=(
        *(Cell(name, name, {"cases": CASES}) for name in RUNGS),
        Cell(WITHOUT_NEGATIVES, RUNGS[-1], {"cases": CASES, "negatives": False}),
        *(Cell(name, name, {"cases": CASES}) for name in OTHERS),
    ),
    pairs=(
        *((RUNGS[high], RUNGS[low]) for high in range(len(RUNGS)) for low in range(high)),
        (RUNGS[-1], WITHOUT_NEGATIVES),
        *product(RUNGS[1:], OTHERS),
    ),
)
