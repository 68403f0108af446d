"""How large the attention unit of `target_attention` needs to be, which every pair of event and candidate pays for."""

from __future__ import annotations

from training.ablations.grid import Ablation, Cell

CASES = 100_000
ATTENTION_WIDTHS = {"80, 40": (80, 40), "36": (36,)}

RANKING_ATTENTION = Ablation(
    name="ranking_attention",
    question="How large does the attention unit need to be? 80, 40 are the hidden widths in the code of DIN's authors, 36 "
    f"is the one in the figure of their paper. {CASES:,} training cases each.",
    cells=(
        *(
            Cell(name, "target_attention", {"cases": CASES, "attention": widths})
            for name, widths in ATTENTION_WIDTHS.items()
        ),
        Cell("none", "sum_pooling", {"cases": CASES, "hard_search": True}),
    ),
    pairs=(("36", "80, 40"), ("36", "none"), ("80, 40", "none")),
)
