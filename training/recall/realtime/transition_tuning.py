"""Tuning of the linear transition model on validation: coordinate search over its hyperparameters.

Tuning costs far less than fitting, which takes I³ time: only the scores of the validation requests are solved for, not
the weights, and for large catalogs only the most frequent items are used.

Legend: B requests, I listened items, C cases, K results.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import cho_solve
from scipy.sparse import csr_array
from tqdm import tqdm

from training.data.recall_cases import RecallCases, recall_table, validation_objective
from training.engine.config_io import change_config
from training.recall.flat_histories import Array, Histories, concatenate_histories
from training.recall.realtime.blended_search import top_k_items
from training.recall.realtime.config import RealtimeConfig, TransitionConfig
from training.recall.realtime.transitions import Transitions, cholesky_factor, fit_transitions, normal_equations

TUNING_GRID: dict[str, tuple[float, ...]] = {
    "ridge": (3.0, 10.0, 30.0),
    "query_decay": (0.1, 0.2, 0.5),
    "split_age_decay": (0.0, 0.02, 0.05),
    "past_decay": (0.5, 1.0),
    "consistency_weight": (0.2, 0.5),
    "future_decay": (0.2, 0.5),
}
"""Values tried for each hyperparameter, in this order, each with the best values of the ones before."""
MAX_CASES, MAX_ITEMS = 1000, 4000
"""Maximum number of validation cases, and of most frequent items, that tuning uses."""

logger = logging.getLogger(__name__)


def tune_and_fit_transitions(
    config: RealtimeConfig,
    histories: Histories,
    query_histories: Sequence[Histories],
    cases: RecallCases,
    is_item_V: Array,
    name: str,
) -> tuple[RealtimeConfig, Transitions | None, dict[str, Any]]:
    """Fit the transition model, and tune its hyperparameters if they are not given and there are validation cases.

    Args:
        config: Config of the channel.
        histories: Listens of the training users.
        query_histories: Listens of the users of `cases`, in consecutive batches.
        cases: Validation cases.
        is_item_V: Tracks that may be candidates.
        name: Channel name, for log messages.

    Returns:
        The config with `transitions.parameters`; the model, None if it is disabled or there are too many items; and
        results of tuning.
    """
    transitions = config.transitions
    if not transitions.is_enabled or not len(histories.items):
        return config, None, {}
    if (count := len(histories.items)) > transitions.max_items:
        logger.warning(
            "%d listened tracks exceed transitions.max_items=%d: %s is fitted without linear transitions, whose "
            "weights would take %.1f GB. Increase transitions.max_items if there is enough memory.",
            *(count, transitions.max_items, name, 4e-9 * count**2),
        )
        return config, None, {}
    tried: list[dict[str, Any]] = []
    length, parameters = config.encoder.history_length, transitions.parameters or TransitionConfig()
    if transitions.parameters is None and query_histories:
        rows = np.sort(np.random.default_rng(0).permutation(len(cases))[:MAX_CASES])
        parameters, tried = tune_transitions(
            histories,
            concatenate_histories(query_histories).take(rows),
            cases.take(rows),
            is_item_V,
            length,
            config.validation.eval_cutoffs,
            exclude_history=config.discovery_share >= 1,
        )
    # Solving takes tens of seconds for ten thousand tracks and cannot report progress.
    print(f"  solving for the transitions between {count} tracks", file=sys.stderr, flush=True)
    fitted = fit_transitions(histories, parameters, length)
    return change_config(config, {"transitions.parameters": parameters}), fitted, {"items": count, "tried": tried}


def tune_transitions(
    histories: Histories,
    query_histories: Histories,
    cases: RecallCases,
    is_item_V: Array,
    length: int,
    cutoffs: tuple[int, int],
    exclude_history: bool,
) -> tuple[TransitionConfig, list[dict[str, Any]]]:
    """The best hyperparameters of TUNING_GRID by the validation objective.

    Args:
        histories: Listens of the training users.
        query_histories: Listens of the user of each case.
        cases: Validation cases.
        is_item_V: Tracks that may be candidates.
        length: Maximum length of the pasts and futures of a split.
        cutoffs: K of the recall@K values of the objective.
        exclude_history: Whether items of a user's history are no candidates.

    Returns:
        The hyperparameters, and each tried combination with its objective as `value`.
    """
    items, count = np.unique(histories.item_P, return_counts=True)
    most_frequent = np.sort(items[np.argsort(-count, kind="stable")[:MAX_ITEMS]])
    histories = histories.restrict_to(most_frequent)
    objectives: dict[TransitionConfig, float] = {}
    cached: dict[tuple[float, ...], tuple[Array, Array]] = {}
    best = TransitionConfig()
    trials = 1 + sum(len(values) - 1 for values in TUNING_GRID.values())
    with tqdm(total=trials, desc="transitions", unit="point", mininterval=1, disable=None) as bar:
        for name, values in TUNING_GRID.items():
            for value in values:
                trial = replace(best, **{name: value})
                if trial in objectives:
                    continue
                key = (trial.consistency_weight, trial.past_decay, trial.future_decay, trial.split_age_decay)
                if key not in cached:
                    cached.clear()
                    cached[key] = normal_equations(histories, trial, length)
                queries = query_histories.to_decayed_matrix(histories.items, trial.query_decay)
                score_BI = _scores(*cached[key], trial, queries)
                score_BI[:, ~is_item_V[histories.items]] = -np.inf
                if exclude_history:
                    score_BI[query_histories.to_decayed_matrix(histories.items, 0.0).nonzero()] = -np.inf
                items_CK, _ = top_k_items(score_BI, histories.items, max(cutoffs), np.zeros((len(cases), 0), np.int64))
                objectives[trial] = validation_objective(recall_table(items_CK, cases, cutoffs), cutoffs)
                bar.update()
            best = max(objectives, key=objectives.__getitem__)
    return best, [vars(trial) | {"value": value} for trial, value in objectives.items()]


def _scores(gram_II: Array, target_II: Array, parameters: TransitionConfig, query_BI: csr_array) -> Array:
    """Score of each item for each request, float32 [B, I]."""
    factor = cholesky_factor(gram_II.copy(order="F"), parameters.ridge)
    solved_IB = cho_solve(factor, query_BI.toarray().T, check_finite=False)
    score_BI: Array = np.ascontiguousarray(solved_IB.T) @ target_II
    return score_BI
