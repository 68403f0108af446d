"""Fit of the weights of feedback on validation plays.

A logistic regression of whether a play is not skipped, on the evidence before it, beside the ranker's probability. The
weights that the product intends are lower bounds: a log in which users rarely react cannot argue them away.
Legend: R plays, F EVIDENCE.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from training.data.catalog import Catalog
from training.data.training_data import TrainingData
from training.engine.parallel_map import parallel_map
from training.ranking.cases import RankingCases
from training.ranking.task_weights import DEFAULT_TASK, PROBABILITY_EPSILON
from training.slate.feedback import EVIDENCE, FeedbackWeights, feedback_evidence

MAX_PLAYS = 10_000
MIN_OF_CLASS = 200  # skips, and other plays
MAX_WEIGHT = 2.0
BATCH_SIZE = 256


def fit_feedback(
    data: TrainingData, catalog: Catalog, cases: RankingCases, probability_R: NDArray[np.floating]
) -> tuple[FeedbackWeights, dict[str, Any]]:
    """The weights, and what they were fitted on; the intended weights if there are too few skips or other plays.

    Args:
        data: Data of the cases.
        catalog: Artists and facets of the tracks.
        cases: Validation cases.
        probability_R: The ranker's probability of DEFAULT_TASK for each case.
    """
    intended = FeedbackWeights()
    label_R = cases.labels_RT[:, cases.tasks.index(DEFAULT_TASK)]
    rows = np.flatnonzero((cases.play_number_R >= 0) & ~np.isnan(label_R))
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_PLAYS)).astype(np.int64))]
    label_R = label_R[rows].astype(np.float64)
    if min(label_R.sum(), (1 - label_R).sum()) < MIN_OF_CLASS:
        return intended, {"plays": len(rows)}
    users, times, items = np.array(data.user_ids_U)[cases.user_R[rows]], cases.request_at_R[rows], cases.item_R[rows]

    def evidence_of(start: int) -> NDArray[np.float64]:
        part = slice(start, start + BATCH_SIZE)
        return feedback_evidence(data, catalog, users[part].tolist(), times[part], items[part, None])[:, 0]

    evidence_RF = np.concatenate(list(parallel_map(evidence_of, range(0, len(rows), BATCH_SIZE), "reactions")))
    ranker_R = logit(np.clip(probability_R[rows], PROBABILITY_EPSILON, 1 - PROBABILITY_EPSILON).astype(np.float64))
    columns = np.column_stack([np.ones(len(rows)), ranker_R, evidence_RF])

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score_R = columns @ parameters
        value = np.logaddexp(0, score_R).sum() - label_R @ score_R
        return float(value), columns.T @ (expit(score_R) - label_R)

    lowest = np.array(astuple(intended))
    bounds = [(None, None), (0, None), *((low, MAX_WEIGHT) for low in lowest)]
    free = minimize(loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B").x
    fitted = minimize(loss, np.concatenate([[0.0, 1.0], lowest]), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = FeedbackWeights(*(round(float(value), 3) for value in fitted[2:]))
    unbounded = dict(zip(EVIDENCE, free[2:].round(3).tolist(), strict=True))
    return weights, {"plays": len(rows), "skips": int((1 - label_R).sum()), "without_bounds": unbounded}
