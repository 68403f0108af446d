"""The head `listened`: which of a request's candidates will be heard in the session that begins.

The other heads learn from tracks that somebody chose, so they cannot tell what nobody would choose. This one learns from
whole requests of the past: of the candidates that the channels found for each, those that were listened to should
stand before the others. Boosted trees with LambdaMART's gradients: Burges 2010, "From RankNet to LambdaRank to
LambdaMART", MSR-TR-2010-82; Ke et al. 2017, LightGBM. They read the numbers that every ranker with hard search makes, and
none of the recall scores, which would know more of the past than of what comes. One head for all rankers.

Shape letters: B requests, C candidates, R rows (a candidate of a request each), Q requests of the rows, N numbers. Knows
nothing about channels.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.ranking.features.history_match import MATCH_FEATURES
from training.ranking.features.search_registry import count_user_features
from training.ranking.features.user_features import USER_FEATURES
from training.ranking.inputs import CandidateInputs, UserInputs
from training.ranking.quick_scorer import RequestScorer
from training.ranking.task_weights import LISTWISE_HEAD, NoTrainingExamples

LISTWISE_USER_FEATURES = USER_FEATURES + count_user_features(True, ())
FILES = TREES, MANIFEST = "trees.txt", "listened.json"
LIGHTGBM_PARAMETERS: dict[str, Any] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 30,  # places of a slate
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
class LambdaMARTConfig:
    """At most `requests` of the past, and of validation as many as `checked`; so many `trees`.

    `scale` (slope, offset) makes a logit of what the trees say; none: fitted on validation.
    """

    requests: int = 6_000
    validation_requests: int = 1_000
    trees: int = 100
    platt_scale: tuple[float, ...] = ()
    seed: int = 0

    @staticmethod
    def from_recipe(recipe: str) -> LambdaMARTConfig:
        """The numbers of a recipe.

        Raises:
            ValueError: there is no such recipe.
        """
        if recipe not in CONFIGS:
            raise ValueError(f"recipe {recipe!r} is unknown; choose one of {', '.join(CONFIGS)}")
        return CONFIGS[recipe]


CONFIGS = {
    "debug": LambdaMARTConfig(requests=300, validation_requests=100, trees=20),
    "small": LambdaMARTConfig(),
    "full": LambdaMARTConfig(requests=20_000, validation_requests=3_000, trees=200),
}


@dataclass(frozen=True)
class ListwiseDataset:
    """Rows of Q requests, request after request: `numbers_RN` of each candidate, whether it was `listened_R` to, and how
    many candidates each request has, `count_Q`.
    """

    features_RN: Floats
    listened_R: NDArray[np.bool_]
    count_Q: NDArray[np.int64]

    @property
    def has_both_classes(self) -> bool:
        """Whether something can be learned: some candidates were listened to, and some were not."""
        return bool(self.listened_R.any() and not self.listened_R.all())


@dataclass(frozen=True)
class LambdaMARTHead:
    """Trees, and what makes a probability of what they say."""

    booster: lightgbm.Booster
    resolved_config: LambdaMARTConfig
    measures: dict[str, Any]

    @classmethod
    def fit(
        cls, learned: ListwiseDataset, checked: ListwiseDataset, config: LambdaMARTConfig, threads: int
    ) -> LambdaMARTHead:
        """From requests of the past; the scale from those of validation, where there are some.

        Raises:
            NothingToLearn: no candidate was listened to, or all of them.
        """
        if not learned.has_both_classes:
            raise NoTrainingExamples(
                f"of {len(learned.listened_R)} candidates of {len(learned.count_Q)} past requests "
                f"{int(learned.listened_R.sum())} were listened to, so nothing can be learned; land more sessions"
            )
        asked = {**LIGHTGBM_PARAMETERS, "seed": config.seed, "num_threads": threads}
        rows = lightgbm.Dataset(learned.features_RN, learned.listened_R, group=learned.count_Q, params=asked)
        booster = lightgbm.train(asked, rows, config.trees)
        measures: dict[str, Any] = {
            "requests": len(learned.count_Q),
            "candidates": len(learned.listened_R),
            "listened_share": float(learned.listened_R.mean()),
        }
        known = checked if checked.has_both_classes else learned
        scale = config.platt_scale or _fit_platt_scale(
            predict_raw_scores(booster, known.features_RN, threads), known.listened_R
        )
        return cls(booster, replace(config, platt_scale=scale), measures)

    def logits(self, numbers_RN: Floats, threads: int = 1) -> Floats:
        """Of each row [R]."""
        slope, offset = self.resolved_config.platt_scale
        return slope * predict_raw_scores(self.booster, numbers_RN, threads) + offset

    def probability(self, users: UserInputs, candidates: CandidateInputs) -> Floats:
        """That each candidate will be listened to, calibrated over candidates of requests [B, C]; on the thread that asks."""
        numbers_BCN = build_listwise_features(users, candidates)
        said_BC = self._scorer.predict(
            users.context_BU.numpy()[:, :LISTWISE_USER_FEATURES], numbers_BCN[..., LISTWISE_USER_FEATURES:]
        )
        slope, offset = self.resolved_config.platt_scale
        return (1 / (1 + np.exp(-(slope * said_BC + offset)))).astype(np.float32)

    @cached_property
    def _scorer(self) -> RequestScorer:
        return RequestScorer(self.booster)

    def save(self, folder: Path) -> None:
        """Write one text file and one of JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        self.booster.save_model(folder / TREES)
        parts = {"settled": asdict(self.resolved_config), "measures": self.measures}
        (folder / MANIFEST).write_text(json.dumps(parts, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> LambdaMARTHead:
        """What `save` wrote.

        Raises:
            FileNotFoundError: `folder` holds no such head.
        """
        for name in FILES:
            if not (folder / name).exists():
                raise FileNotFoundError(
                    f"no {name} in {folder}; run `python -m training.train head {LISTWISE_HEAD}` first"
                )
        parts = json.loads((folder / MANIFEST).read_text())
        settled = LambdaMARTConfig(**{**parts["settled"], "platt_scale": tuple(parts["settled"]["platt_scale"])})
        return cls(lightgbm.Booster(model_file=folder / TREES), settled, parts["measures"])


def build_listwise_features(users: UserInputs, candidates: CandidateInputs) -> Floats:
    """What the trees read of every candidate [B, C, N]: the first numbers of any ranker with hard search, whatever else that
    one makes.

    Raises:
        ValueError: the inputs were made without hard search.
    """
    own_BCF, match_BCM = candidates.features_BCF.numpy(), candidates.matches_BCM.numpy()
    if match_BCM.shape[-1] < MATCH_FEATURES:
        raise ValueError(f"the head {LISTWISE_HEAD} reads what hard search finds; give it to a ranker with hard_search")
    context_BU = users.context_BU.numpy()[:, None, :LISTWISE_USER_FEATURES]
    context_BCU = np.broadcast_to(context_BU, (*own_BCF.shape[:2], LISTWISE_USER_FEATURES))
    return np.concatenate([context_BCU, own_BCF, match_BCM[..., :MATCH_FEATURES]], axis=2)


def predict_raw_scores(booster: lightgbm.Booster, numbers_RN: Floats, threads: int) -> Floats:
    """What trees say of each row [R], in no unit: only the order within a request means something."""
    return np.asarray(booster.predict(numbers_RN, num_threads=threads), dtype=np.float32)


def _fit_platt_scale(said_R: Floats, listened_R: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the logit with the least log loss (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression  # learning's library, which who only scores does without

    fitted = LogisticRegression(C=np.inf).fit(said_R[:, None], listened_R)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
