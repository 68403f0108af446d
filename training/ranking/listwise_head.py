"""Listwise head `listened` (LambdaMART): ranks candidates of a request by whether they are played in the next session.

The other heads are fitted on tracks that users chose, so they have no examples of tracks that users would not choose.
This head is fitted on whole past requests: among the candidates of the recall channels, listened ones should rank
first. Boosted trees with LambdaMART gradients: Burges 2010, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82;
Ke et al. 2017, LightGBM. They read the dense features of any ranker with hard search, and no recall scores, because the
channels have been fitted on the same past and would leak it. One head serves all rankers.

Does not depend on channels. Shape letters: B requests, C candidates, R rows (one per candidate of a request), Q
requests, N features, U user features, F candidate features.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.engine.config_io import Section, config_from_dict
from training.engine.lightgbm_import import lightgbm, train_trees
from training.nn.compiled_trees import TreeScorer
from training.ranking.features.history_match import MATCH_FEATURES
from training.ranking.inputs import CandidateInputs, UserInputs
from training.ranking.task_weights import LISTWISE_HEAD, NoTrainingExamples

FILES = TREES, MANIFEST = "trees.txt", "listened.json"
LIGHTGBM_PARAMETERS: dict[str, Any] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 30,  # positions of a slate
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.3,
    "lambda_l2": 20.0,
    "max_bin": 127,
    "deterministic": True,
    "force_col_wise": True,
    "verbose": -1,
}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LambdaMARTConfig(Section):
    """Configuration of the listwise head; `training/recipes/small.yaml` says what its fields mean."""

    requests: int
    validation_requests: int
    trees: int
    seed: int
    platt_scale: tuple[float, ...] = ()  # slope and offset from raw score to logit; empty: fitted on validation


@dataclass(frozen=True)
class ListwiseDataset:
    """Candidates of Q requests, grouped by request: features, outcomes, and number of candidates per request."""

    features_RN: Floats
    listened_R: NDArray[np.bool_]
    count_Q: NDArray[np.int64]

    @property
    def has_both_classes(self) -> bool:
        """Whether there are both listened and other candidates, as fitting requires."""
        return bool(self.listened_R.any() and not self.listened_R.all())


@dataclass(frozen=True)
class LambdaMARTHead:
    """Fitted trees with the scale that turns their scores into probabilities."""

    booster: lightgbm.Booster
    resolved_config: LambdaMARTConfig
    measures: dict[str, Any]

    @classmethod
    def fit(
        cls, train: ListwiseDataset, validation: ListwiseDataset, config: LambdaMARTConfig, threads: int
    ) -> LambdaMARTHead:
        """Fit trees on past requests, and the scale on validation requests (on the former if `validation` is empty).

        Raises:
            NoTrainingExamples: No candidate was listened to, or all of them.
        """
        if not train.has_both_classes:
            raise NoTrainingExamples(
                f"{int(train.listened_R.sum())} of {len(train.listened_R)} candidates of {len(train.count_Q)} past requests "
                "were listened to, but fitting needs both listened and other candidates; land more sessions"
            )
        parameters = {**LIGHTGBM_PARAMETERS, "seed": config.seed, "num_threads": threads}
        rows = lightgbm.Dataset(train.features_RN, train.listened_R, group=train.count_Q, params=parameters)
        booster = train_trees(parameters, rows, config.trees, "listwise head")
        measures: dict[str, Any] = {
            "requests": len(train.count_Q),
            "candidates": len(train.listened_R),
            "listened_share": float(train.listened_R.mean()),
        }
        calibration = validation if validation.has_both_classes else train
        scale = config.platt_scale or _fit_platt_scale(
            predict_raw_scores(booster, calibration.features_RN, threads), calibration.listened_R
        )
        return cls(booster, replace(config, platt_scale=scale), measures)

    def logits(self, features_RN: Floats, threads: int = 1) -> Floats:
        """Return the calibrated logit of each row [R]."""
        slope, offset = self.resolved_config.platt_scale
        return slope * predict_raw_scores(self.booster, features_RN, threads) + offset

    def probability(self, users: UserInputs, candidates: CandidateInputs) -> Floats:
        """Return the calibrated probability of each candidate being listened to [B, C]. Runs on the calling thread."""
        U = self.booster.num_feature() - candidates.features_BCF.shape[-1] - MATCH_FEATURES
        features_BCN = build_listwise_features(users, candidates, U)
        score_BC = self._scorer.predict(users.context_BU.numpy()[:, :U], features_BCN[..., U:])
        slope, offset = self.resolved_config.platt_scale
        return (1 / (1 + np.exp(-(slope * score_BC + offset)))).astype(np.float32)

    @cached_property
    def _scorer(self) -> TreeScorer:
        return TreeScorer(self.booster)

    def save(self, folder: Path) -> None:
        """Write a text file and a JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        self.booster.save_model(folder / TREES)
        parts = {"config": asdict(self.resolved_config), "measures": self.measures}
        (folder / MANIFEST).write_text(json.dumps(parts, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> LambdaMARTHead:
        """Read the files that `save` wrote.

        Raises:
            FileNotFoundError: `folder` has no such head.
        """
        for name in FILES:
            if not (folder / name).exists():
                raise FileNotFoundError(
                    f"no {name} in {folder}; run `python -m training.train head {LISTWISE_HEAD}` first"
                )
        parts = json.loads((folder / MANIFEST).read_text())
        config = config_from_dict(LambdaMARTConfig, parts["config"])
        return cls(lightgbm.Booster(model_file=folder / TREES), config, parts["measures"])


def build_listwise_features(users: UserInputs, candidates: CandidateInputs, user_features: int) -> Floats:
    """Return the head's features [B, C, N]: the first `user_features` of the user, those of the candidate, the matches.

    Every ranker with hard search computes these; features that only some rankers have come after them and are left out.

    Raises:
        ValueError: The inputs were made without hard search, or without some of the user features.
    """
    own_BCF, match_BCM = candidates.features_BCF.numpy(), candidates.matches_BCM.numpy()
    if match_BCM.shape[-1] < MATCH_FEATURES:
        raise ValueError(f"the head {LISTWISE_HEAD} reads match features; use it with a ranker with hard_search")
    if not 0 < user_features <= users.context_BU.shape[1]:
        raise ValueError(
            f"the head {LISTWISE_HEAD} reads {user_features} user features, the ranker has {users.context_BU.shape[1]}; "
            "fit the head and the ranker with the same feature services"
        )
    context_B1U = users.context_BU.numpy()[:, None, :user_features]
    context_BCU = np.broadcast_to(context_B1U, (*own_BCF.shape[:2], user_features))
    return np.concatenate([context_BCU, own_BCF, match_BCM[..., :MATCH_FEATURES]], axis=2)


def predict_raw_scores(booster: lightgbm.Booster, features_RN: Floats, threads: int) -> Floats:
    """Return the trees' score of each row [R]; scores are comparable within a request only."""
    return np.asarray(booster.predict(features_RN, num_threads=threads), dtype=np.float32)


def _fit_platt_scale(score_R: Floats, listened_R: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logit with the least log loss (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression  # imported here: scoring does not need it

    model = LogisticRegression(C=np.inf).fit(score_R[:, None], listened_R)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
