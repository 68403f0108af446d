"""What each part of the session model brings, and how far back its domains need to reach."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from training.ablations.grid import Ablation, Cell
from training.ranking.features.search_registry import SEARCHES

CASES = 100_000
FULL_MODEL = "session_domains"
ABLATED_PARTS: Mapping[str, Mapping[str, Any]] = {
    "negative domains": {"negative_feedback": False},
    "impressions left alone": {"impressions": 0},
    "cleaning them by feedback": {"denoise_impressions": False},
    "sessions": {"sessions": 0},
    "kinds of music": {"genres": False},
    "lifting": {"wide_skip_connection": False},
    "experts": {"experts": 0},
    "position bias": {"position_bias": False},
    "passes over numbers": {"dense_epochs": 0},
    **{search: {"searches": tuple(name for name in SEARCHES if name != search)} for search in SEARCHES},
    "further searches": {"searches": ()},
    "trees": {"trees": 0, "searches": ()},
}
SEQUENCE_LENGTHS = (20, 50, 200, 500)

SESSION_DOMAINS = Ablation(
    name="session_domains",
    question="What does each part of session_domains bring? What does it gain when the events of a domain see each other "
    f"before the candidate sees them? The newest share of every user's plays, {CASES:,} in all, teaches each cell.",
    cells=(
        Cell("whole", FULL_MODEL, {"cases": CASES}),
        *(Cell(f"without {part}", FULL_MODEL, {"cases": CASES, **changes}) for part, changes in ABLATED_PARTS.items()),
        Cell("with self-attention", FULL_MODEL, {"cases": CASES, "self_attention": True}),
        Cell("target_attention", "target_attention", {"cases": CASES}),
    ),
    pairs=(
        *(("whole", f"without {part}") for part in ABLATED_PARTS),
        ("with self-attention", "whole"),
        ("whole", "target_attention"),
    ),
)

SESSION_LENGTH = Ablation(
    name="session_length",
    question="How do longer sequences help? The newest L plays are cut into sessions, and each domain keeps its newest "
    "L events of them; gradients reach every event directly, through attention, so that none has to survive L steps.",
    cells=tuple(
        Cell(f"L = {length}", FULL_MODEL, {"plays": length, "group_length": length}) for length in SEQUENCE_LENGTHS
    ),
    pairs=tuple((f"L = {long}", f"L = {short}") for short, long in pairwise(SEQUENCE_LENGTHS)),
)
