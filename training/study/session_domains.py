"""What each part of the session model brings, and how far back its domains need to reach."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from training.study.grid import Cell, Study

WHOLE = "session_domains"
WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "negative domains": {"negatives": False},
    "sessions": {"sessions": 0},
    "lifting": {"lift": False},
    "experts": {"experts": 0},
    "position bias": {"position_bias": False},
}
LENGTHS = (20, 50, 200, 500)

SESSION_DOMAINS = Study(
    name="session_domains",
    question="What does each part of session_domains bring? What does it gain when the events of a domain see each other "
    "before the candidate sees them, and when two more passes teach everything but the ids?",
    cells=(
        Cell("whole", WHOLE, {}),
        *(Cell(f"without {part}", WHOLE, changes) for part, changes in WITHOUT.items()),
        Cell("with self-attention", WHOLE, {"self_attention": True}),
        Cell("with later passes", WHOLE, {"epochs": 3}),
        Cell("target_attention", "target_attention", {}),
    ),
    pairs=(
        *(("whole", f"without {part}") for part in WITHOUT),
        ("with self-attention", "whole"),
        ("with later passes", "whole"),
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
