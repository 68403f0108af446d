"""What each way of letting the candidate look at the history brings: none, soft, hard, both."""

from __future__ import annotations

from training.ablations.grid import Ablation, Cell

RANKING_HISTORY = Ablation(
    name="ranking_history",
    question="What does a ranker gain when the candidate looks at the user's history: softly, by attention over the "
    "recent events, or hard, by exact match of track and artist in the long histories?",
    cells=(
        Cell("none", "sum_pooling", {"hard_search": False}),
        Cell("soft", "target_attention", {"hard_search": False}),
        Cell("hard", "sum_pooling", {"hard_search": True}),
        Cell("soft + hard", "target_attention", {"hard_search": True}),
    ),
    pairs=(
        ("soft", "none"),
        ("hard", "none"),
        ("soft + hard", "none"),
        ("soft + hard", "soft"),
        ("soft + hard", "hard"),
    ),
)
