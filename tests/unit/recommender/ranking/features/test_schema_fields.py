"""New columns reach every ranker without code: user features by feature service, track statistics by mart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from config.dataclass_io import change_config
from recommender.ranking.features.ranking_features import VIEWS
from recommender.ranking.features.track_statistics import COUNTS, signed_log2
from recommender.ranking.fitted_ranker import RANKERS, FittedRanker
from sequences.feature_services import ServiceContract
from tests.support.training.tiny_world import START, random_plays, write_marts
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.ranking.case_batches import CaseBatches
from training.ranking.cases import ranking_cases
from training.ranking.fit import fit_ranker
from training.recipes import config_of, recipe

SHORT_FIT = {"training.steps": 3, "training.dense_epochs": 0, "training.batch_size": 64, "validation.every": 0}
FIELD = "user_profile__shares_total"


class ProfileByUser(OfflineFeatures):
    """Offline features with one user feature: 10 for user u0, 1 for the others."""

    def load_profile(self, service: str, user_ids: Sequence[str], times: np.ndarray) -> dict[str, np.ndarray]:
        """Return the feature by user."""
        del service, times
        return {FIELD: np.array([10 if user == "u0" else 1 for user in user_ids], np.float32)}


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world; the statistics of its tracks have two columns more than rankers encode by name."""
    folder = write_marts(tmp_path_factory.mktemp("marts"), random_plays())
    tracks = [f"t{number}" for number in range(40)]
    rows = {"track_id": tracks, "known_at": [START] * 40, "likes_total": [7] * 40, "shares_7d": list(range(40))}
    rows |= {name: [2] * 40 for name in COUNTS}
    table = pl.DataFrame(rows).with_columns(pl.col("known_at").cast(pl.Datetime("us")))
    table.write_parquet(folder / "track_statistics.parquet")
    return folder


def fitted(name: str, marts: Path, folder: Path, features: tuple[str, ...]) -> tuple[FittedRanker, OfflineFeatures]:
    """A ranker after three steps, and its offline features."""
    services = dict.fromkeys(RANKERS, ServiceContract(VIEWS, features))
    data = TrainingData(marts, "held_out", recipe("debug"), services=services)
    config = change_config(config_of(RANKERS[name], "debug"), SHORT_FIT)
    if config.trees.count:
        config = change_config(config, {"trees.count": 0, "features.searches": False})
    offline = ProfileByUser(data)
    return fit_ranker(name, data, config, folder, offline), offline


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_new_columns_reach_every_ranker(name: str, marts: Path, tmp_path: Path) -> None:
    without, _ = fitted(name, marts, tmp_path / "without", ())
    ranker, offline = fitted(name, marts, tmp_path / "with", ("user_profile:plays_total", "user_profile:shares_total"))
    reads = ranker.resolved_config.features
    assert reads.profile_fields == (FIELD,) and reads.statistics_fields == ("shares_7d",)
    cases = ranking_cases(offline.data)
    batches = CaseBatches(cases, offline, name, ranker.features)
    batch = batches[range(0, len(cases), 5)]
    assert ranker.model.user_feature_count == without.model.user_feature_count + 1
    assert batch.users.context_BU.shape[1] == ranker.model.user_feature_count
    assert set(batch.users.context_BU[:, -1].tolist()) == {1.0, float(np.log2(np.float32(11)))}
    tracks = offline.data.vocabulary.decode(batch.candidates.track_BC[:, 0].numpy())
    known_B = cases.request_at_R[::5] > np.datetime64(START, "us").astype(np.int64)
    expected = signed_log2(np.array([int(track[1:]) for track in tracks], np.float32)) * known_B
    np.testing.assert_allclose(batch.candidates.features_BCF[:, 0, -1], expected, rtol=1e-6)

    users, items = batches.user_batch(range(8)), cases.item_R[:8, None]
    scores = ranker.score(users, items)["not_skipped"]
    users.profile[FIELD] = np.ones(8, np.float32)  # all eight are of user u0
    assert np.abs(ranker.score(users, items)["not_skipped"] - scores).max() > 1e-6

    ranker.save(tmp_path / "saved")
    loaded = FittedRanker.load(tmp_path / "saved", offline.data.vocabulary)
    assert loaded.resolved_config == ranker.resolved_config
    assert loaded.features.statistics.names == (*COUNTS, "shares_7d")
