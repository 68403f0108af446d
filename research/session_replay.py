"""Radio sessions of the test part played again: does the order of the radio foresee which tracks are skipped?

Each play of a session with at least MIN_SKIPS skips gets the score that the radio would have given its track at that moment:
the channels, fusion, ranker and blend of the evaluation, with and without the user's reactions. The metric is the AUC of
`not_skipped` over the plays of a user, averaged over users; differences are paired by user.

Legend: R plays, U users.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recommender.catalog.arrays import Ragged
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.fusion import Fusion
from recommender.slate.ranker_blend import Blend, blend_scores, fused_scores
from recommender.slate.scene_settings import MIN_RANKED_DISCOVERY_SHARE
from releases.format import MissingInput
from training.data.plays import PARTS
from training.data.recall_cases import CASE_KINDS, RecallCases
from training.data.training_data import TrainingData
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.metrics.ranking_metrics import auc_per_group
from training.evaluation.serving_filter import ServingFilter
from training.evaluation.slate_evaluation import predict_tasks
from training.workspace import Workspace

NAME = "session_replay"
SCENE = "private_fm"
MIN_SKIPS = 2
SESSIONS_PER_USER = 3


def report(workspace: Workspace, folder: Path) -> str:
    """Replay the sessions; return the table as Markdown.

    Raises:
        MissingInput: The models were not evaluated, there is no ranker, or no session has enough skips.
    """
    del folder  # takes a minute, nothing is kept
    evaluation = workspace.folder / "evaluation"
    if not (evaluation / "blend.json").exists():
        raise MissingInput(f"no evaluation in {evaluation}; run `python -m training.evaluate` first")
    held_out, blend = HeldOutModels.open(workspace), Blend.load(evaluation / "blend.json")
    ranker = held_out.rankers.get(json.loads((evaluation / "choice.json").read_text())["ranker"])
    rows = sample_plays(held_out.data)
    if ranker is None or not len(rows):
        raise MissingInput(f"no ranker, or no session of the test part with {MIN_SKIPS} skips; land more plays")
    plays, data = held_out.data.plays, held_out.data
    cases, track_R1 = _cases(data, rows), plays.track_P[rows][:, None].astype(np.int64)
    fused_R, is_discovery_R = _fused_scores(held_out, cases, Fusion.load(evaluation / "fusion.json"), track_R1)
    task_scores_R = blend.heads.score(predict_tasks(held_out, ranker, cases, track_R1), SCENE)[:, 0]
    weight_R = np.where(is_discovery_R, blend.discovery_weight, blend.weight)
    without_R = blend_scores(fused_R, task_scores_R, weight_R)
    servable = ServingFilter.from_data(data)
    requests = zip(track_R1, servable.read_requests(cases), strict=True)
    evidence_RF = np.concatenate(
        [reactions.evidence(track_1, servable.catalog) for track_1, (_, reactions) in requests]
    )
    with_R = without_R * np.exp(blend.feedback.log_factors(evidence_RF))
    label_R, sessions = plays.is_listened_P[rows].astype(np.float64), len(np.unique(plays.session_start_P[rows]))
    before, after = (_mean_auc(label_R, score_R, cases.user_C) for score_R in (without_R, with_R))
    lines = [
        f"# Radio sessions played again, recipe `{workspace.recipe}`, test part",
        "",
        f"`make ablation ABLATION={NAME}`. AUC of `not_skipped` over {len(rows):,} plays of {sessions:,} sessions with at least "
        f"{MIN_SKIPS} skips, by user; intervals and differences are over users.",
        "",
        "| order of the radio | AUC |",
        "|---|---|",
        f"| without reactions | {_format(before)} |",
        f"| with reactions | {_format(after)} |",
        f"| difference | {_format(after - before)} |",
    ]
    return "\n".join(lines) + "\n"


def sample_plays(data: TrainingData) -> NDArray[np.int64]:
    """Rows of the plays of the newest sessions of each user with at least MIN_SKIPS skips, ascending."""
    plays = data.plays
    is_test_P = plays.part_P == PARTS.index("test")
    skips_P = np.bincount(plays.session_start_P, ~plays.is_listened_P & is_test_P, len(plays))
    begins = np.flatnonzero(skips_P >= MIN_SKIPS)
    newest_first = begins[::-1]
    user = plays.user_P[newest_first]
    order = np.argsort(user, kind="stable")
    number = np.arange(len(order)) - np.searchsorted(user[order], user[order])
    chosen = newest_first[order[number < SESSIONS_PER_USER]]
    rows: NDArray[np.int64] = np.flatnonzero(np.isin(plays.session_start_P, chosen) & is_test_P)
    return rows


def _cases(data: TrainingData, rows: NDArray[np.int64]) -> RecallCases:
    """One request just before each play."""
    plays = data.plays
    nothing = Ragged(np.zeros(0, dtype=np.int64), np.zeros(len(rows) + 1, dtype=np.int64))
    return RecallCases(
        np.array(data.user_ids_U, dtype=object)[plays.user_P[rows]],
        plays.user_P[rows],
        plays.play_number_P[rows],
        plays.request_at_P[rows],
        np.array([SCENE] * len(rows), dtype=object),
        dict.fromkeys(CASE_KINDS, nothing),
    )


def _fused_scores(
    held_out: HeldOutModels, cases: RecallCases, fusion: Fusion, track_R1: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fused score of each played track, 0 if no channel found it, and whether it was new to the user."""
    candidates, history = held_out.recall(cases, NAME)
    fused = fusion.with_min_share(MIN_RANKED_DISCOVERY_SHARE).fuse(
        CandidateTable.merge(candidates, history), cases.scenes.tolist()
    )
    items_RK = fused.items(sum(one.shape[1] for one in candidates.values()))
    score_RK = np.where(items_RK == track_R1, fused_scores(~history.contains(items_RK)), 0.0)
    return score_RK.max(axis=1, initial=0.0), ~history.contains(track_R1)[:, 0]


def _mean_auc(label_R: NDArray[np.float64], score_R: NDArray[np.floating], user_R: NDArray[np.int64]) -> Estimate:
    users, number_R = np.unique(user_R, return_inverse=True)
    area_U = auc_per_group(label_R, score_R.astype(np.float64), number_R, len(users))
    return bootstrap.mean(area_U[~np.isnan(area_U)])


def _format(estimate: Estimate) -> str:
    value, low, high = estimate.interval()
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"
