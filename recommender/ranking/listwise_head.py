"""Listwise head `listened` (LambdaMART): ranks candidates of a request by whether they are played in the next session.

The other heads are fitted on tracks that users chose, so they have no examples of tracks that users would not choose.
This head is fitted on whole past requests: among the candidates of the recall channels, listened ones should rank
first. Boosted trees with LambdaMART gradients: Burges 2010, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82.
They read the dense features of any ranker with hard search, and no recall scores, because the channels have been fitted on
the same past and would leak it. One head serves all rankers.

Does not depend on channels. Shape letters: B requests, C candidates, R rows (one per candidate of a request), Q
requests, N features, U user features, F candidate features.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.dataclass_io import Section, config_from_dict
from recommender.array_types import Floats
from recommender.nn.trees import PastRequests, Trees, dataset
from recommender.ranking.features.history_match import MATCH_FEATURES
from recommender.ranking.inputs import CandidateInputs, UserInputs
from recommender.ranking.task_weights import LISTWISE_HEAD, NoTrainingExamples

FILES = TREES, MANIFEST = "trees.txt", "listened.json"
LIGHTGBM_PARAMETERS: dict[str, Any] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 30,  # positions of a slate
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.3,
    "force_col_wise": True,
}


@dataclass(frozen=True)
class LambdaMARTConfig(Section):
    """Configuration of the listwise head; `training/recipes/small.yaml` says what its fields mean."""

    requests: int
    validation_requests: int
    trees: int
    seed: int
    platt_scale: tuple[float, ...] = ()  # slope and offset from raw score to logit; empty: fitted on validation


@dataclass(frozen=True)
class LambdaMARTHead:
    """Fitted trees with the scale that turns their scores into probabilities."""

    trees: Trees
    resolved_config: LambdaMARTConfig
    measures: dict[str, Any]

    @classmethod
    def fit(
        cls, train: PastRequests, validation: PastRequests, config: LambdaMARTConfig, threads: int
    ) -> LambdaMARTHead:
        """Fit trees on past requests, and the scale on validation requests (on the former if `validation` is empty).

        Raises:
            NoTrainingExamples: No candidate was listened to, or all of them.
        """
        if not train.has_both_classes:
            raise NoTrainingExamples(
                f"{int(train.is_target_R.sum())} of {len(train.is_target_R)} candidates of {len(train.count_Q)} past requests "
                "were listened to, but fitting needs both listened and other candidates; land more sessions"
            )
        rows, target_R = train.features_RN, train.is_target_R
        data = dataset(rows, target_R, LIGHTGBM_PARAMETERS, config.seed, threads, group=train.count_Q)
        trees = Trees.fit(data, config.trees, "listwise head")
        measures: dict[str, Any] = {
            "requests": len(train.count_Q),
            "candidates": len(target_R),
            "listened_share": float(target_R.mean()),
        }
        calibration = validation if validation.has_both_classes else train
        scale = config.platt_scale or _fit_platt_scale(
            trees.predict_rows(calibration.features_RN, threads), calibration.is_target_R
        )
        return cls(trees, replace(config, platt_scale=scale), measures)

    def probability(self, users: UserInputs, candidates: CandidateInputs) -> Floats:
        """Return the calibrated probability of each candidate being listened to [B, C]. Runs on the calling thread."""
        U = self.trees.features - candidates.features_BCF.shape[-1] - MATCH_FEATURES
        features_BCN = build_listwise_features(users, candidates, U)
        score_BC = self.trees.predict(users.context_BU[:, :U], features_BCN[..., U:])
        slope, offset = self.resolved_config.platt_scale
        return (1 / (1 + np.exp(-(slope * score_BC + offset)))).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write a text file and a JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        self.trees.save(folder / TREES)
        parts = {"config": asdict(self.resolved_config), "measures": self.measures}
        (folder / MANIFEST).write_text(json.dumps(parts, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> LambdaMARTHead:
        """Read the files that `save` wrote.

        Raises:
            FileNotFoundError: `folder` has no such head.
        """
        trees = Trees.load(folder / TREES)
        if trees is None or not (folder / MANIFEST).exists():
            raise FileNotFoundError(f"no head in {folder}; run `python -m training.train head {LISTWISE_HEAD}` first")
        parts = json.loads((folder / MANIFEST).read_text())
        return cls(trees, config_from_dict(LambdaMARTConfig, parts["config"]), parts["measures"])


def build_listwise_features(users: UserInputs, candidates: CandidateInputs, user_features: int) -> Floats:
    """Return the head's features [B, C, N]: the first `user_features` of the user, then of the candidate, then the matches.

    Every ranker with hard search computes these; features that only some rankers have come after them and are left out.

    Raises:
        ValueError: The inputs were made without some of the user features.
    """
    own_BCF, match_BCM = candidates.features_BCF, candidates.matches_BCM
    if not 0 < user_features <= users.context_BU.shape[1]:
        raise ValueError(
            f"the head {LISTWISE_HEAD} reads {user_features} user features, the ranker has {users.context_BU.shape[1]}; "
            "fit the head and the ranker with the same feature services"
        )
    context_B1U = users.context_BU[:, None, :user_features]
    context_BCU = np.broadcast_to(context_B1U, (*own_BCF.shape[:2], user_features))
    return np.concatenate([context_BCU, own_BCF, match_BCM[..., :MATCH_FEATURES]], axis=2)


def _fit_platt_scale(score_R: NDArray[np.float64], listened_R: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logit with the least log loss (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression  # imported here: scoring does not need it

    model = LogisticRegression(C=np.inf).fit(score_R[:, None], listened_R)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
