"""Hand-made content of an `evaluation.json`."""

from __future__ import annotations

from typing import Any


def interval(value: float) -> list[float]:
    return [value, value - 0.01, value + 0.01]


def by_part(value: float) -> dict[str, list[float]]:
    return dict.fromkeys(("all", "repeat", "discovery", "reachable"), interval(value))


def evaluation() -> dict[str, Any]:
    """Content of an `evaluation.json` with one channel, one ranker and two heuristic baselines."""
    metrics = {"recall_at_50": by_part(0.2), "recall_at_200": by_part(0.4), "ndcg_at_10": by_part(0.1), "coverage": 0.5}
    ranking = {"auc": interval(0.7), "gauc": interval(0.6), "logloss": interval(0.5), "ece": interval(0.01)}
    slate = {"fused": 0.29, "most_played": 0.28, "served": 0.31, "up_cf": 0.3}
    weights = {"weights": {"realtime": 1.0}}
    return {
        "as_of": "2026-07-01",
        "split": "user_time",
        "best_memory": "most_played",
        "best_discoverer": "ease",
        "cases": {"test_sessions": 900, "test_users": 330, "test_ranking_cases": 9000},
        "slate_sample": {"requests": 800, "per_user": 20, "drawn_by": "hash"},
        "chosen": {
            "fusion": {"repeats": weights, "discoveries": weights, "scenes": {}, "shares": {"": 0.3}},
            "fusion_cases": 900,
            "ranker": "sum_pooling",
            "blend": {"weight": 0.5, "diversity": 0.0, "heads": {"weights": {}}},
            "baselines": {},
        },
        "recall": {"fused": metrics, "realtime": metrics, "ease": metrics},
        "slate": {name: {"recall_at_30": by_part(value), "ndcg_at_10": by_part(value / 2)} for name, value in slate.items()},
        "ranking": {"sum_pooling": {"not_skipped": ranking}},
        "ranking_slices": {},
        "differences": {
            "served - up_cf": {"recall_at_30": interval(0.02)},
            "fused - most_played": {"recall_at_200": interval(0.03), "recall_at_200/reachable": interval(0.04)},
            "fused - ease": {"recall_at_200": interval(0.2), "recall_at_200/reachable": interval(-0.05)},
        },
        "by_history": {"fused": {"0-99": interval(0.2)}},
        "by_facet": {"fused": {}},
        "cold_start": {"targets": {}, "recall": {}},
        "containers": {},
        "overlap_at_50": {"realtime": {"realtime": 1.0}},
        "hits_at_200": {"realtime": {"share": 1.0, "unique": 1.0}},
        "exposure": {"catalog": {"new_tracks": 0.1, "by_new_artists": 0.1}, "recall": {}, "slate": {}},
    }  # fmt: skip
