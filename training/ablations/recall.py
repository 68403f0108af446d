"""Ablations of the recall channels: user tower and history length, interest extraction, lifting, content."""

from __future__ import annotations

from itertools import pairwise

from training.ablations.grid import Ablation, Cell

HISTORY_LENGTHS = (16, 32, 64, 128)
LONG_STEPS = 1_000
AVERAGE_POOLING_LENGTHS = {"average pooling": 64, "average pooling, L = 128": 128}

RECALL_BLOCK = Ablation(
    name="recall_block",
    question="Which user tower has the highest recall, how much history does it need, and does longer training change the "
    "order?",
    cells=(
        *(
            Cell(name, "realtime", {"encoder.pooling": "average", "encoder.history_length": length})
            for name, length in AVERAGE_POOLING_LENGTHS.items()
        ),
        *(
            Cell(
                name, "realtime", {"encoder.pooling": "attention", "encoder.history_length": 64, "encoder.block": block}
            )
            for name, block in (("SASRec", "residual"), ("LiGR", "gated"))
        ),
        *(
            Cell(
                f"SASRec, L = {length}", "realtime", {"encoder.pooling": "attention", "encoder.history_length": length}
            )
            for length in HISTORY_LENGTHS
            if length != 64
        ),
        *(
            Cell(
                f"{name}, {LONG_STEPS:,} steps",
                "realtime",
                {"encoder.pooling": pooling, "encoder.history_length": 64, "optimizer.steps": LONG_STEPS},
            )
            for name, pooling in (("average pooling", "average"), ("SASRec", "attention"))
        ),
    ),
    pairs=(
        ("SASRec", "average pooling"),
        (f"SASRec, {LONG_STEPS:,} steps", f"average pooling, {LONG_STEPS:,} steps"),
        (f"SASRec, {LONG_STEPS:,} steps", "SASRec"),
        ("average pooling, L = 128", "average pooling"),
        ("LiGR", "SASRec"),
        ("SASRec, L = 32", "SASRec, L = 16"),
        ("SASRec", "SASRec, L = 32"),
        ("SASRec, L = 128", "SASRec"),
    ),
)

RECALL_INTERESTS = Ablation(
    name="recall_interests",
    question="Are multiple interests extracted better by routing or by self-attention, and how many are needed?",
    cells=(
        *(Cell(f"routing, K = {count}", "multi_interest", {"encoder.interests": count}) for count in (1, 2, 4, 8)),
        Cell("self-attention, K = 4", "multi_interest", {"encoder.extractor": "attention"}),
    ),
    pairs=(
        *((f"routing, K = {more}", f"routing, K = {fewer}") for fewer, more in pairwise((1, 2, 4, 8))),
        ("routing, K = 4", "self-attention, K = 4"),
    ),
)

RECALL_LIFTING = Ablation(
    name="recall_lifting",
    question="What is the gain of information lifting (strong, slow signals bypass the deep layers), and of the gate?",
    cells=(
        *(
            Cell(f"lifting {way}", "long_short", {"repeats.lifting": way})
            for way in ("off", "bypass", "dormant", "both")
        ),
        Cell("without a gate", "long_short", {"repeats.gate": False}),
    ),
    pairs=(
        ("lifting bypass", "lifting off"),
        ("lifting dormant", "lifting off"),
        ("lifting both", "lifting bypass"),
        ("lifting both", "lifting dormant"),
        ("lifting both", "without a gate"),
    ),
)

RECALL_CONTENT = Ablation(
    name="recall_content",
    question="What is the gain of content features in the item tower: none, descriptions only, or also names?",
    cells=tuple(Cell(f"content {use}", "realtime", {"items.content": use}) for use in ("off", "described", "all")),
    pairs=(("content described", "content off"), ("content all", "content off")),
)

RECALL_REPEATS = Ablation(
    name="recall_repeats",
    question="What is the gain of boosted trees that order a user's own tracks, and how many plays and tracks do they need?",
    cells=(
        Cell("by activation", "favourites", {"order.trees": 0}),
        Cell("by activation, 2,000 plays", "favourites", {"order.trees": 0, "max_plays": 2_000}),
        Cell("learned order", "favourites", {}),
        Cell("learned order, 2,000 plays", "favourites", {"max_plays": 2_000}),
        Cell("learned order, pool 600", "favourites", {"order.pool": 600}),
        Cell("long_short", "long_short", {}),
    ),
    pairs=(
        ("learned order", "by activation"),
        ("by activation", "by activation, 2,000 plays"),
        ("learned order", "learned order, 2,000 plays"),
        ("learned order", "learned order, pool 600"),
        ("learned order", "long_short"),
    ),
)

RECALL_ORDER = Ablation(
    name="recall_order",
    question="What is the gain of boosted trees that order the graph's candidates, and how many do they need?",
    cells=(
        Cell("order of the walk", "knowledge_graph", {"order.trees": 0}),
        Cell("learned order", "knowledge_graph", {}),
        Cell("learned order, pool 200", "knowledge_graph", {"order.pool": 200}),
        Cell("learned order, pool 1,200", "knowledge_graph", {"order.pool": 1_200}),
    ),
    pairs=(
        ("learned order", "order of the walk"),
        ("learned order", "learned order, pool 200"),
        ("learned order, pool 1,200", "learned order"),
    ),
)
