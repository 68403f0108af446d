"""How large the attention unit of `target_attention` needs to be, which every pair of event and candidate pays for."""

from __future__ import annotations

from itertools import pairwise

from training.study.grid import Cell, Study

UNITS = {"80, 40": (80, 40), "36": (36,), "16": (16,)}

RANKING_ATTENTION = Study(
    name="ranking_attention",
    question="How large does the attention unit need to be? 80, 40 are the hidden widths in the code of DIN's authors, 36 "
    "is the one in the figure of their paper.",
    cells=(
        *(Cell(name, "target_attention", {"attention": widths}) for name, widths in UNITS.items()),
        Cell("none", "sum_pooling", {"hard_search": True}),
    ),
    pairs=(*((small, large) for large, small in pairwise(UNITS)), *((name, "none") for name in UNITS)),
)
