"""Cases from marts, and complete fits on a tiny log."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from config.dataclass_io import change_config
from recommender.ranking.features.ranking_features import UNCLICKED_IMPRESSIONS, VIEWS, RankingFeatures
from recommender.ranking.registry import RANKERS
from recommender.user.exclusions import FOREVER, LeftOut, ProfileExclusions
from sequences.feature_services import ServiceContract
from tests.support.training.tiny_world import SERVICES, START
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.ranking.case_batches import CaseBatches, load_track_statistics
from training.ranking.fit import fit_ranker
from training.ranking.labeled_cases import missing_tasks, ranking_cases
from training.recipes import config_of, recipe

SHORT_FIT = {
    "training.dense_epochs": 1,
    "training.batch_size": 64,
    "validation.every": 4,
}


def open_data(marts: Path, fit: str = "held_out") -> TrainingData:
    """Return the log with the rankers' feature services."""
    return TrainingData(marts, fit, recipe("debug"), services=SERVICES)


def test_every_play_is_a_case(marts: Path) -> None:
    data = open_data(marts)
    cases = ranking_cases(data)
    assert cases.tasks == ("not_skipped", "full_play") and missing_tasks(cases) == ("click", "like")
    plays = pl.read_parquet(marts / "plays.parquet").sort("user_id", "play_number")
    assert cases.labels_RT[:, 0].tolist() == plays["is_listened"].cast(pl.Float64).to_list()
    assert cases.labels_RT[:, 1].tolist() == (plays["behavior"] == "full_play").cast(pl.Float64).to_list()
    assert data.vocabulary.decode(cases.item_R) == plays["track_id"].to_list()
    assert cases.request_at_R.tolist() == plays["request_at"].dt.epoch("us").to_list()
    counted = {part: len(cases.filter_part(part)) for part in ("train", "validation", "test")}
    assert counted == dict(plays.group_by("part").len().iter_rows())


def with_impressions(marts: Path, folder: Path) -> Path:
    """Return the same log with impressions of two users: clicked, unclicked, and played without a click."""
    shutil.copytree(marts, folder, dirs_exist_ok=True)
    shown = {
        "user_id": ["u1", "u1", "u1", "unknown"],
        "track_id": ["t5", "t6", "t7", "t5"],
        "shown_at": [START + timedelta(seconds=n) for n in range(4)],
        "is_clicked": [True, False, False, True],
        "is_played": [True, False, True, True],
        "is_liked": [False] * 4,
        "position": [0, 1, 2, 0],
        "scene": ["daily"] * 4,
        "part": ["train", "test", "train", "train"],
    }
    pl.DataFrame(shown).write_parquet(folder / "impressions.parquet")
    return folder


def with_likes(folder: Path, *reports: tuple[str, str, datetime]) -> None:
    """Add events of u0 (behavior, track or artist, time) to the mart."""
    events = pl.read_parquet(folder / "events.parquet")
    added = pl.DataFrame(
        [
            {
                "user_id": "u0",
                "behavior": behavior,
                "target_type": "artist" if target.startswith("a") else "track",
                "target_id": target,
                "ended_at": at,
                "known_at": at,
            }
            for behavior, target, at in reports
        ]
    )
    rows = pl.concat([events, added.cast({name: events.schema[name] for name in added.columns})], how="diagonal")
    rows.write_parquet(folder / "events.parquet")


def test_impressions_and_likes_become_tasks(marts: Path, tmp_path: Path) -> None:
    with_impressions(marts, tmp_path)
    plays = pl.read_parquet(marts / "plays.parquet").sort("user_id", "play_number")
    first = plays.row(0, named=True)
    at = first["request_at"] + timedelta(minutes=2)
    with_likes(tmp_path, ("like", first["track_id"], at), ("like", "a0", at))
    cases = ranking_cases(open_data(tmp_path))
    assert cases.tasks == ("not_skipped", "full_play", "click", "like") and len(cases) == len(plays) + 3
    is_impression = cases.play_number_R == -1
    expected = [[np.nan] * 2 + labels for labels in ([1, 0], [0, 0], [np.nan, 0])]
    np.testing.assert_array_equal(cases.labels_RT[is_impression], expected)
    assert np.isnan(cases.labels_RT[~is_impression, 2]).all()
    assert cases.position_R[is_impression].tolist() == [1, 2, 3] and not cases.position_R[~is_impression].any()
    tracks = plays["track_id"].to_list()
    window, ends_at = timedelta(minutes=30), plays["known_at"].max()
    expected_likes = [
        np.nan
        if request + window > ends_at
        else user == "u0" and track == first["track_id"] and timedelta(0) <= at - request <= window
        for user, track, request in zip(plays["user_id"], tracks, plays["request_at"], strict=True)
    ]
    np.testing.assert_array_equal(cases.labels_RT[~is_impression, 3], expected_likes)
    assert 1 in expected_likes and np.isnan(expected_likes).any(), "the windows of the last plays end after the log"


@pytest.mark.parametrize(
    ("reports", "is_liked"),
    [
        ([("like", 2)], True),
        ([("like", 31)], False),
        ([("like", -1)], False),
        ([("like", 2), ("unlike", 60 * 24 * 200)], True),
        ([("like", 2), ("unlike", 29)], False),
        ([("like", 2), ("unlike", 2)], False),
        ([("like", 2), ("unlike", 3), ("like", 4)], True),
        ([("like", -9), ("unlike", -8), ("like", 2)], True),
        ([("like", 2), ("like", 60), ("unlike", 61)], True),
    ],
)
def test_a_like_label_depends_on_the_events_of_its_window_only(
    marts: Path, tmp_path: Path, reports: list[tuple[str, int]], is_liked: bool
) -> None:
    shutil.copytree(marts, tmp_path, dirs_exist_ok=True)
    first = pl.read_parquet(marts / "plays.parquet").filter(user_id="u0").sort("play_number").row(0, named=True)
    at = first["request_at"]
    # A like of another track, so that the task exists.
    other = pl.read_parquet(marts / "plays.parquet").filter(
        pl.col("user_id") == "u0", pl.col("track_id") != first["track_id"], pl.col("part") == "train"
    ).row(0, named=True)  # fmt: skip
    times = [(behavior, first["track_id"], at + timedelta(minutes=minutes)) for behavior, minutes in reports]
    with_likes(tmp_path, ("like", other["track_id"], other["request_at"]), *times)
    cases = ranking_cases(open_data(tmp_path))
    assert cases.tasks[-1] == "like" and cases.part_R[0] == 0
    assert cases.labels_RT[0, -1] == is_liked


def test_unclicked_impressions_are_read_if_the_log_has_any(
    marts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = change_config(
        config_of(RANKERS["session_domains"], "debug"),
        {"training.steps": 2, "training.dense_epochs": 0, "trees.count": 0, "features.searches": False},
    )
    data = TrainingData(
        with_impressions(marts, tmp_path),
        "held_out",
        recipe("debug"),
        services=dict.fromkeys(RANKERS, ServiceContract((*VIEWS, UNCLICKED_IMPRESSIONS))),
    )
    with caplog.at_level(logging.WARNING):
        ranker = fit_ranker("session_domains", data, config, tmp_path / "with")
    assert (
        UNCLICKED_IMPRESSIONS in ranker.features.views
        and ranker.resolved_config.features.impressions == 50
        and "impressions" not in caplog.text
    )
    with caplog.at_level(logging.WARNING):
        ranker = fit_ranker("session_domains", open_data(marts), config, tmp_path / "without")
    assert UNCLICKED_IMPRESSIONS not in ranker.features.views and ranker.resolved_config.features.impressions == 0
    assert "without unclicked impressions: the log has no impressions" in caplog.text


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_a_fit_resolves_its_config_and_the_final_fit_keeps_it(
    name: str, marts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = change_config(config_of(RANKERS[name], "debug"), SHORT_FIT)
    data = open_data(marts)
    with caplog.at_level(logging.WARNING):
        ranker = fit_ranker(name, data, config, tmp_path / "a")
    assert "click, like" in caplog.text
    best = ranker.resolved_config.validation.early_stopping_step
    assert best is not None and 0 < best <= ranker.resolved_config.training.steps == 9
    assert len(ranker.resolved_config.validation.temperatures) == 2
    again = fit_ranker(name, data, config, tmp_path / "b")
    cases = ranking_cases(data).filter_part("validation")
    batches = CaseBatches(cases, OfflineFeatures(data), name, ranker.features)
    users, items = batches.user_batch(range(len(cases))), cases.item_R[:, None]
    found = ranker.score(users, items)
    for task, probability in again.score(users, items).items():
        # The same weights; kernels may round differently by memory alignment.
        np.testing.assert_allclose(found[task], probability, rtol=1e-6)
    trees = ranker.features.trees
    assert len(ranker.resolved_config.trees.weights) == (len(ranker.tasks) if config.trees.count else 0)
    assert ranker.resolved_config.trees.counts == (trees.counts if trees else ())
    final = fit_ranker(name, open_data(marts, "final"), ranker.resolved_config, tmp_path / "c")
    assert final.resolved_config == ranker.resolved_config
    if trees:
        assert max(trees.counts) < config.trees.count, "trees of random plays fit noise"
        assert final.features.trees.counts == trees.counts


def test_a_final_fit_keeps_the_held_out_ranker(marts: Path, tmp_path: Path) -> None:
    config = change_config(config_of(RANKERS["session_domains"], "debug"), {**SHORT_FIT, "training.steps": 2})
    ranker = fit_ranker("session_domains", open_data(marts), config, tmp_path / "fit")
    ranker.save(tmp_path / "saved")
    later = open_data(marts, "final")
    later.held_out_model = tmp_path / "saved"
    fit_ranker("session_domains", later, ranker.resolved_config, tmp_path / "final").save(tmp_path / "final")
    for file in (*(tmp_path / "saved").glob("trees_*.txt"), tmp_path / "saved" / "weights.safetensors"):
        assert (tmp_path / "final" / file.name).read_bytes() == file.read_bytes()


def test_training_cuts_sequences_after_events_are_removed(marts: Path) -> None:
    """As evaluation and serving do: both have as many of the remaining events."""
    data = open_data(marts)
    tracks = np.arange(2, len(data.vocabulary), 2)
    data.profile_exclusions = ProfileExclusions({data.user_ids_U[0]: LeftOut(tracks, np.full(len(tracks), FOREVER))})
    features = RankingFeatures.from_vocabulary(
        data.vocabulary,
        load_track_statistics(data),
        replace(
            config_of(RANKERS["sum_pooling"], "debug").features,
            hard_search=True,
            plays=10,
        ),
    )
    cases = ranking_cases(data)
    rows = np.flatnonzero((cases.user_R < 2) & (cases.play_number_R > 40))
    batches = CaseBatches(cases, OfflineFeatures(data), "session_domains", features)
    evaluated = batches[rows].users.plays
    batches.precompute_dense_features(1)
    trained = batches[rows].users.plays
    assert (evaluated.behavior_BL > 0).sum(1).min() == 10
    for name, expected in vars(evaluated).items():
        assert torch.equal(getattr(trained, name), expected), name
