"""Ablations of the rankers: history, attention size, session domains, impressions, and comparison with other libraries."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, product
from typing import Any

from training.ablations.grid import Ablation, Cell
from training.ablations.ranker_trial import EvaluationScope
from training.ranking.features.history_search_registry import SEARCHES
from training.ranking.session_domains.model import FAST_SEARCHES

CASES = 100_000  # training cases of each cell
SIZES = {"training.cases": CASES, "trees.cases": CASES}
FULL_MODEL = "session_domains"

RANKING_HISTORY = Ablation(
    name="ranking_history",
    question="What is the gain of matching the candidate with the user's history: by soft search (attention over recent "
    "events) or by hard search (exact match of track and artist in the long histories)?",
    cells=(
        Cell("none", "sum_pooling", {"features.hard_search": False}),
        Cell("soft", "target_attention", {"features.hard_search": False}),
        Cell("hard", "sum_pooling", {"features.hard_search": True}),
        Cell("soft + hard", "target_attention", {"features.hard_search": True}),
    ),
    pairs=(
        ("soft", "none"),
        ("hard", "none"),
        ("soft + hard", "none"),
        ("soft + hard", "soft"),
        ("soft + hard", "hard"),
    ),
)

ATTENTION_WIDTHS = {"80, 40": (80, 40), "36": (36,)}

RANKING_ATTENTION = Ablation(
    name="ranking_attention",
    question="How large does the attention unit of target_attention need to be? 80, 40 are the hidden widths in the code of "
    f"DIN's authors, 36 is the width in the figure of their paper. {CASES:,} training cases each.",
    cells=(
        *(Cell(name, "target_attention", {**SIZES, "attention": widths}) for name, widths in ATTENTION_WIDTHS.items()),
        Cell("none", "sum_pooling", {**SIZES, "features.hard_search": True}),
    ),
    pairs=(("36", "80, 40"), ("36", "none"), ("80, 40", "none")),
)

RANKER_LEVELS = ("sum_pooling", "target_attention", "interest_evolution", "session_domains")
PEER_RANKERS = ("gbdt", "DIN", "DIEN")
WITHOUT_NEGATIVES = "session_domains without negative domains"

RANKING_PEERS = Ablation(
    name="ranking_peers",
    question="How do the rankers compare with LightGBM on 26 features of the play log and with unmodified DIN and DIEN "
    f"of torch-rechub? All are trained on the same plays, the newest of every user, {CASES:,} in total; torch-rechub "
    "reads the 50 newest tracks with their behavior, the candidate and the hour, with the widths of these rankers, for as "
    "many epochs as are best on validation.",
    cells=(
        *(Cell(name, name, SIZES) for name in RANKER_LEVELS),
        Cell(WITHOUT_NEGATIVES, RANKER_LEVELS[-1], {**SIZES, "features.negative_feedback": False}),
        *(Cell(name, name, {"cases": CASES}) for name in PEER_RANKERS),
    ),
    pairs=(
        *((RANKER_LEVELS[high], RANKER_LEVELS[low]) for high in range(len(RANKER_LEVELS)) for low in range(high)),
        (RANKER_LEVELS[-1], WITHOUT_NEGATIVES),
        *product(RANKER_LEVELS[1:], PEER_RANKERS),
    ),
)

ABLATED_PARTS: Mapping[str, Mapping[str, Any]] = {
    "negative domains": {"features.negative_feedback": False},
    "unclicked impressions": {"features.impressions": 0},
    "denoising of impressions": {"groups.denoise_impressions": False},
    "sessions": {"groups.sessions": 0},
    "genres": {"features.genres": False},
    "wide skip connection": {"network.wide_skip_connection": False},
    "experts": {"network.experts": 0},
    "position bias": {"network.position_bias": False},
    "epochs over dense features": {"training.dense_epochs": 0},
    **{
        search: {"features.searches": tuple(name for name in FAST_SEARCHES if name != search)}
        for search in FAST_SEARCHES
    },
    "two searches and experts": {"features.searches": ("situations",), "network.experts": 0},
    "further searches": {"features.searches": ()},
    "trees": {"trees.count": 0, "features.searches": ()},
}
ADDED_PARTS: Mapping[str, Mapping[str, Any]] = {
    "the search neighbours": {"features.searches": tuple(SEARCHES)},
    "200 trees of 31 leaves": {"trees.count": 200, "trees.leaves": 31, "trees.learning_rate": 0.08},
    "600 trees of 63 leaves": {"trees.count": 600, "trees.learning_rate": 0.03},
}
SEQUENCE_LENGTHS = (20, 50, 200, 500)

SESSION_DOMAINS = Ablation(
    name="session_domains",
    question="What does each part of session_domains contribute? "
    f"All cells are trained on the newest plays of every user, {CASES:,} in total.",
    cells=(
        Cell("whole", FULL_MODEL, SIZES),
        *(Cell(f"without {part}", FULL_MODEL, {**SIZES, **changes}) for part, changes in ABLATED_PARTS.items()),
        *(Cell(f"with {part}", FULL_MODEL, {**SIZES, **changes}) for part, changes in ADDED_PARTS.items()),
        Cell("target_attention", "target_attention", SIZES),
    ),
    pairs=(
        *(("whole", f"without {part}") for part in ABLATED_PARTS),
        *((f"with {part}", "whole") for part in ADDED_PARTS),
        ("whole", "target_attention"),
    ),
)

SESSION_LENGTH = Ablation(
    name="session_length",
    question="What is the gain of longer sequences? The newest L plays are split into sessions, and each domain keeps its "
    "newest L events; attention passes gradients to every event directly, so that no gradient has to pass L recurrent steps.",
    cells=tuple(
        Cell(f"L = {length}", FULL_MODEL, {"features.plays": length, "groups.length": length})
        for length in SEQUENCE_LENGTHS
    ),
    pairs=tuple((f"L = {long}", f"L = {short}") for short, long in pairwise(SEQUENCE_LENGTHS)),
)

SESSION_IMPRESSIONS = Ablation(
    name="session_impressions",
    question="For logs with impressions: how do the rankers compare on clicks and full plays, what do unclicked "
    "impressions contribute, and does the bias tower learn the effect of the position?",
    cells=(
        Cell("sum_pooling", "sum_pooling", {}),
        Cell("target_attention", "target_attention", {}),
        Cell(FULL_MODEL, FULL_MODEL, {}),
        Cell("without impressions", FULL_MODEL, {"features.impressions": 0}),
        Cell("without denoising", FULL_MODEL, {"groups.denoise_impressions": False}),
        Cell("without position bias", FULL_MODEL, {"network.position_bias": False}),
        Cell("without genres", FULL_MODEL, {"features.genres": False}),
    ),
    pairs=(
        (FULL_MODEL, "sum_pooling"),
        (FULL_MODEL, "target_attention"),
        *((FULL_MODEL, f"without {part}") for part in ("impressions", "denoising", "position bias", "genres")),
    ),
    scope=EvaluationScope(part="test", tasks=("click", "full_play")),
)
