"""Rankers of other libraries: features of the trees against a loop over the plays, same cases for all rankers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sequences.behaviours import load_behaviours
from tests.support.training.tiny_world import START, random_plays, write_marts
from training.ablations import gbdt, peer_trial, ranker_trial, rechub
from training.ablations.gbdt import GbdtConfig
from training.ablations.peer_trial import RechubConfig
from training.data.feature_services import ServiceContract
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.ranking.cases import ranking_cases
from training.ranking.features.ranking_features import VIEWS
from training.recipes import recipe


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineFeatures:
    from training.ranking.registry import RANKERS

    monkeypatch.setattr(OfflineFeatures, "store", None)
    marts = write_marts(tmp_path / "marts", random_plays())
    counts = ("plays_total", "listens_total", "full_plays_total", "skips_total", "plays_7d", "plays_28d")
    rows = pl.DataFrame({"track_id": ["t3"], "known_at": [START], **{name: [2] for name in counts}})
    rows.with_columns(pl.col("known_at").cast(pl.Datetime("us"))).write_parquet(marts / "track_statistics.parquet")
    # Given, so that nothing is read from the registry of a home that exists.
    services = dict.fromkeys(RANKERS, ServiceContract(VIEWS))
    return OfflineFeatures(TrainingData(marts, "held_out", recipe("debug"), services=services))


def test_features_of_the_trees_are_from_earlier_plays(offline: OfflineFeatures) -> None:
    plays = offline.data.plays
    rows, names = gbdt.features(plays)
    assert len(names) == 26
    for row in np.random.default_rng(0).choice(len(plays), 60, replace=False):
        user_rows = np.flatnonzero(plays.user_P == plays.user_P[row])
        before = user_rows[plays.play_number_P[user_rows] < plays.play_number_P[row]]
        label, at = plays.is_listened_P[before].astype(float), plays.request_at_P[row]
        found = rows.filter((pl.col("user") == plays.user_P[row]) & (pl.col("play_number") == plays.play_number_P[row]))
        expected = {
            "plays_before": len(before),
            "label_2_ago": label[-2] if len(before) > 1 else None,
            "gap": at - plays.known_at_P[before[-1]] if len(before) else None,
            "rate_20": label[-20:].mean() if len(before) else None,
            "rate_all": label.sum() / (len(before) + 1),
            "hour": at // 3_600_000_000 % 24,
            "same_track": float(plays.track_P[before[-1]] == plays.track_P[row]) if len(before) else None,
        }
        for key, values in (("track", plays.track_P), ("artist", plays.artist_P)):
            same = before[values[before] == values[row]]
            listened = plays.is_listened_P[same].astype(float)
            expected |= {
                f"{key}_plays": len(same),
                f"{key}_rate": listened.sum() / (len(same) + 1),
                f"{key}_last": listened[-1] if len(same) else None,
                f"{key}_since": at - plays.known_at_P[same[-1]] if len(same) else None,
            }
        assert {name: found[name][0] for name in expected} == pytest.approx(expected)


def check_outcomes(offline: OfflineFeatures, cases: np.lib.npyio.NpzFile) -> None:
    """The newest behavior of a history is that of the play before the case."""
    plays, codes = offline.data.plays, load_behaviours().encoder
    held_out = ranking_cases(offline.data).filter_part("validation")
    held_out = held_out.take(np.flatnonzero(~np.isnan(held_out.labels_RT[:, held_out.tasks.index("not_skipped")])))
    checked = 0
    for case in range(len(held_out)):
        rows = np.flatnonzero(
            (plays.user_P == held_out.user_R[case]) & (plays.play_number_P < held_out.play_number_R[case])
        )
        length = int((cases["validation_history"][case] > 0).sum())
        if length and len(rows) and plays.track_P[rows[-1]] == cases["validation_history"][case, length - 1]:
            is_listened = cases["validation_behaviour_history"][case, length - 1] != codes["skip"]
            checked += 1
            assert is_listened == plays.is_listened_P[rows[-1]]
    assert checked > 10


def test_peers_predict_the_same_plays_as_a_ranker(
    offline: OfflineFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.ranking.registry import RANKERS

    expected, _, _ = ranker_trial.measure(
        "sum_pooling", offline, RANKERS["sum_pooling"].config("debug"), tmp_path / "a"
    )
    trees, _, measures = peer_trial.measure("gbdt", offline, GbdtConfig(cases=200, min_data_in_leaf=5), tmp_path / "b")
    assert trees.select("user", "label").equals(expected.select("user", "label"))
    assert trees["probability"].is_between(0, 1).all() and measures["cases"] <= 204

    def fake_run(command: list[str], **options) -> object:
        assert "--threads=3" in command, "as many as the rankers of Segue"
        cases = np.load(Path(command[4]) / rechub.CASES)
        assert cases["train_history"].shape == (len(cases["train_label"]), 7)
        skip = load_behaviours().encoder["skip"]
        for part in ("train", "validation"):
            history_RL, behaviour_RL = cases[f"{part}_history"], cases[f"{part}_behaviour_history"]
            assert ((history_RL > 0) == (behaviour_RL > 0)).all() and (behaviour_RL == skip).any()
            assert behaviour_RL.max() < cases["behaviours"]
        check_outcomes(offline, cases)
        assert (np.diff((cases["validation_history"] > 0).astype(int), axis=1) <= 0).all(), "padding is at the end"
        np.save(Path(command[4]) / rechub.PREDICTIONS, np.full(len(cases["validation_item"]), 0.5, np.float32))
        return type(
            "Done",
            (),
            {
                "returncode": 0,
                "stdout": 'noise\n{"seconds": 1.0, "parameters": 3, "epochs": 2, "auc_by_epoch": [0.5, 0.6, 0.4]}\n',
            },
        )

    monkeypatch.setattr(peer_trial.subprocess, "run", fake_run)
    monkeypatch.setattr(peer_trial, "configure_threads", lambda: 3)
    monkeypatch.setattr(peer_trial, "ensure_environment", lambda *packages: Path("python"))
    predictions, _, measures = peer_trial.measure("DIN", offline, RechubConfig(cases=200, events=7), tmp_path / "c")
    assert predictions.select("user", "label").equals(expected.select("user", "label"))
    assert measures["steps"] == 2 * -(-measures["cases"] // 256)
    assert measures["parameters"] == 3 and set(predictions["probability"].to_list()) == {0.5}
