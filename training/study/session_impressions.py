"""Whether the session model climbs where the log has impressions, and what impressions bring it."""

from __future__ import annotations

from training.study.asked import Asked
from training.study.grid import Cell, Study

WHOLE = "session_domains"

SESSION_IMPRESSIONS = Study(
    name="session_impressions",
    question="Where the log holds what was shown and not chosen: how far does the ladder climb on clicks and on full plays, "
    "what do impressions that were left alone bring, and does the bias tower find what the place does?",
    cells=(
        Cell("sum_pooling", "sum_pooling", {}),
        Cell("target_attention", "target_attention", {}),
        Cell(WHOLE, WHOLE, {}),
        Cell("without impressions", WHOLE, {"impressions": 0}),
        Cell("without cleaning", WHOLE, {"cleaning": False}),
        Cell("without position bias", WHOLE, {"position_bias": False}),
        Cell("without kinds of music", WHOLE, {"kinds": False}),
    ),
    pairs=(
        (WHOLE, "sum_pooling"),
        (WHOLE, "target_attention"),
        *((WHOLE, f"without {part}") for part in ("impressions", "cleaning", "position bias", "kinds of music")),
    ),
    asked=Asked(part="test", tasks=("click", "full_play")),
)
