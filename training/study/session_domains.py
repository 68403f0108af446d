"""What each part of the session model brings, and how far back its domains need to reach."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from training.ranking.searches import SEARCHES
from training.study.grid import Cell, Study

CASES = 100_000
WHOLE = "session_domains"
WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "negative domains": {"negatives": False},
    "impressions left alone": {"impressions": 0},
    "cleaning them by feedback": {"cleaning": False},
    "sessions": {"sessions": 0},
    "kinds of music": {"kinds": False},
    "lifting": {"lift": False},
    "experts": {"experts": 0},
    "position bias": {"position_bias": False},
    "passes over numbers": {"number_epochs": 0},
    **{search: {"searches": tuple(name for name in SEARCHES if name != search)} for search in SEARCHES},
    "further searches": {"searches": ()},
    "trees": {"trees": 0, "searches": ()},
}
LENGTHS = (20, 50, 200, 500)

SESSION_DOMAINS = Study(
    name="session_domains",
    question="What does each part of session_domains bring? What does it gain when the events of a domain see each other "
    f"before the candidate sees them? The newest share of every user's plays, {CASES:,} in all, teaches each cell.",
    cells=(
        Cell("whole", WHOLE, {"cases": CASES}),
        *(Cell(f"without {part}", WHOLE, {"cases": CASES, **changes}) for part, changes in WITHOUT.items()),
        Cell("with self-attention", WHOLE, {"cases": CASES, "self_attention": True}),
        Cell("target_attention", "target_attention", {"cases": CASES}),
    ),
    pairs=(
        *(("whole", f"without {part}") for part in WITHOUT),
        ("with self-attention", "whole"),
        ("whole", "target_attention"),
    ),
)

SESSION_LENGTH = Study(
    name="session_length",
    question="How do longer sequences help? The newest L plays are cut into sessions, and each domain keeps its newest "
    "L events of them; gradients reach every event directly, through attention, so that none has to survive L steps.",
    cells=tuple(Cell(f"L = {length}", WHOLE, {"plays": length, "domain_length": length}) for length in LENGTHS),
    pairs=tuple((f"L = {long}", f"L = {short}") for short, long in pairwise(LENGTHS)),
)
