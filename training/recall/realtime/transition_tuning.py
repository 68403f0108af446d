"""The numbers of linear transitions, chosen on validation: one after the other, each at the best of those before.

Legend: B requests, I items listened to, C cases. To choose costs far less than to learn, which takes I³: only the
requests' scores are solved for, not the weights, and of a large catalogue only a part is looked at, as if there were
nothing else. Knows nothing about networks.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import cho_solve
from tqdm import tqdm

from training.data.recall_at_k import recall_table, validation_objective
from training.data.recall_cases import RecallCases
from training.recall.realtime.blended_search import top_k_items
from training.recall.realtime.config import RealtimeConfig
from training.recall.realtime.transitions import (
    Array,
    Histories,
    TransitionConfig,
    Transitions,
    cholesky_factor,
    concatenate_histories,
    fit_transitions,
    normal_equations,
)

TUNING_GRID: dict[str, tuple[float, ...]] = {
    "ridge": (3.0, 10.0, 30.0),
    "query_decay": (0.1, 0.2, 0.5),
    "split_age_decay": (0.0, 0.02, 0.05),
    "past_decay": (0.5, 1.0),
    "consistency_weight": (0.2, 0.5),
    "future_decay": (0.2, 0.5),
}
MAX_CASES, MAX_ITEMS = 1000, 4000
"""So many validation cases choose, at most, over so many items, those that were listened to most."""

logger = logging.getLogger(__name__)


def tune_and_fit_transitions(
    config: RealtimeConfig,
    histories: Histories,
    query_histories: Sequence[Histories],
    cases: RecallCases,
    is_item_V: Array,
    name: str,
) -> tuple[RealtimeConfig, Transitions | None, dict[str, Any]]:
    """The config with `transition_numbers`, chosen if there are cases and none were given; the transitions, None where
    the config has none or there are too many items; and what is known of them. `asked`: what each case's user listened
    to, in pieces.
    """
    if not config.transitions or not len(histories.items):
        return config, None, {}
    if (count := len(histories.items)) > config.max_transition_items:
        logger.warning(
            "%d tracks were listened to, more than transitions_up_to=%d: %s goes without linear transitions, whose weights would "
            "take %.1f GB; raise the bound if there is room",
            *(count, config.max_transition_items, name, 4e-9 * count**2),
        )
        return config, None, {}
    tried: list[dict[str, Any]] = []
    numbers = config.transition_config or TransitionConfig()
    if config.transition_config is None and query_histories:
        rows = np.sort(np.random.default_rng(0).permutation(len(cases))[:MAX_CASES])
        few, only_new = concatenate_histories(query_histories).take(rows), config.discovery_share >= 1
        numbers, tried = tune_transitions(
            histories, few, cases.take(rows), is_item_V, config.length, config.eval_cutoffs, only_new
        )
    # Tens of seconds for ten thousand tracks, in which no bar could move.
    print(f"  solving for the transitions between {count} tracks", file=sys.stderr, flush=True)
    transitions = fit_transitions(histories, numbers, config.length)
    return replace(config, transition_config=numbers), transitions, {"items": count, "tried": tried}


def tune_transitions(
    histories: Histories,
    query_histories: Histories,
    cases: RecallCases,
    is_item_V: Array,
    length: int,
    cutoffs: tuple[int, int],
    unheard_only: bool,
) -> tuple[TransitionConfig, list[dict[str, Any]]]:
    """The best numbers of GRID by `worth` of the cases' recall, and what each tried point was worth.

    `asked`: what each case's user had listened to; `only_new`: that is no answer.
    """
    items, count = np.unique(histories.item_P, return_counts=True)
    most = np.sort(items[np.argsort(-count, kind="stable")[:MAX_ITEMS]])
    histories = histories.restrict_to(most)
    points: dict[TransitionConfig, float] = {}
    kept: dict[tuple[float, ...], tuple[Array, Array]] = {}
    best = TransitionConfig()
    tries = 1 + sum(len(values) - 1 for values in TUNING_GRID.values())
    with tqdm(total=tries, desc="transitions", unit="point", mininterval=1, disable=None) as bar:
        for name, values in TUNING_GRID.items():
            for value in values:
                numbers = replace(best, **{name: value})
                if numbers in points:
                    continue
                key = (numbers.consistency_weight, numbers.past_decay, numbers.future_decay, numbers.split_age_decay)
                if key not in kept:
                    kept.clear()
                    kept[key] = normal_equations(histories, numbers, length)
                score_BI = _scores(
                    *kept[key], numbers, query_histories.to_decayed_matrix(histories.items, numbers.query_decay)
                )
                score_BI[:, ~is_item_V[histories.items]] = -np.inf
                if unheard_only:
                    score_BI[query_histories.to_decayed_matrix(histories.items, 0.0).nonzero()] = -np.inf
                items_CK, _ = top_k_items(score_BI, histories.items, max(cutoffs), np.zeros((len(cases), 0), np.int64))
                points[numbers] = validation_objective(recall_table(items_CK, cases, cutoffs), cutoffs)
                bar.update()
            best = max(points, key=points.__getitem__)
    return best, [vars(numbers) | {"value": value} for numbers, value in points.items()]


def _scores(gram_II: Array, target_II: Array, numbers: TransitionConfig, asked_BI: Any) -> Array:
    """Each request's score of each item, float32 [B, I]."""
    factor = cholesky_factor(gram_II.copy(order="F"), numbers.ridge)
    solved_IB = cho_solve(factor, asked_BI.toarray().T, check_finite=False)
    score_BI: Array = np.ascontiguousarray(solved_IB.T) @ target_II
    return score_BI
