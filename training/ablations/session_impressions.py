"""Whether the session model climbs where the log has impressions, and what impressions bring it."""

from __future__ import annotations

from training.ablations.evaluation_scope import EvaluationScope
from training.ablations.grid import Ablation, Cell

FULL_MODEL = "session_domains"

SESSION_IMPRESSIONS = Ablation(
    name="session_impressions",
    question="Where the log holds what was shown and not chosen: how far does the ladder climb on clicks and on full plays, "
    "what do impressions that were left alone bring, and does the bias tower find what the place does?",
    cells=(
        Cell("sum_pooling", "sum_pooling", {}),
        Cell("target_attention", "target_attention", {}),
        Cell(FULL_MODEL, FULL_MODEL, {}),
        Cell("without impressions", FULL_MODEL, {"impressions": 0}),
        Cell("without cleaning", FULL_MODEL, {"denoise_impressions": False}),
        Cell("without position bias", FULL_MODEL, {"position_bias": False}),
        Cell("without kinds of music", FULL_MODEL, {"genres": False}),
    ),
    pairs=(
        (FULL_MODEL, "sum_pooling"),
        (FULL_MODEL, "target_attention"),
        *((FULL_MODEL, f"without {part}") for part in ("impressions", "cleaning", "position bias", "kinds of music")),
    ),
    scope=EvaluationScope(part="test", tasks=("click", "full_play")),
)
