"""Guarantees of every ranker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from config.dataclass_io import change_config
from recommender.catalog.vocabulary import Vocabulary
from recommender.ranking.features.ranking_features import RankingFeatures
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.registry import RANKERS
from recommender.user.user_batch import UserBatch
from tests.support.training.ranking_cases import (
    LISTEN,
    MINUTE,
    NOW,
    SKIP,
    TRACKS,
    history,
    network_of,
    new_ranker,
    user_batch,
)


@pytest.fixture(params=sorted(RANKERS))
def ranker(request: pytest.FixtureRequest) -> FittedRanker:
    """Every ranker of the table."""
    return new_ranker(request.param)


ITEMS = np.arange(2, TRACKS)


def scores(ranker: FittedRanker, users: UserBatch, items: np.ndarray) -> np.ndarray:
    """Return the probabilities [B, C, T] of the same candidates for every user."""
    found = ranker.score(users, np.tile(items, (len(users), 1)))
    assert set(found) == set(ranker.tasks)
    stacked = np.stack([found[task] for task in ranker.tasks], axis=-1)
    assert np.isfinite(stacked).all() and (stacked >= 0).all() and (stacked <= 1).all()
    return stacked


def test_a_candidate_does_not_depend_on_the_others(ranker: FittedRanker) -> None:
    users = user_batch([history(6, 1)])
    together = scores(ranker, users, ITEMS)
    alone = np.concatenate([scores(ranker, users, ITEMS[c : c + 1]) for c in range(len(ITEMS))], axis=1)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together[:, ::-1], scores(ranker, users, ITEMS[::-1]), atol=1e-5)
    assert together.std() > 1e-3


def test_a_batch_equals_its_users_one_by_one(ranker: FittedRanker) -> None:
    rows = [history(count, count) for count in (0, 1, 3, 8)]
    together = scores(ranker, user_batch(rows), ITEMS)
    alone = np.concatenate([scores(ranker, user_batch(rows).take([b]), ITEMS) for b in range(len(rows))])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_padding_changes_nothing(ranker: FittedRanker) -> None:
    rows = [history(5, 1), history(2, 2)]
    short, long = user_batch(rows, length=5), user_batch(rows, length=60)
    np.testing.assert_allclose(scores(ranker, short, ITEMS), scores(ranker, long, ITEMS), atol=1e-5)
    for view in long.views.values():
        padding = ~view.mask_BL
        for column in view.columns.values():
            column[padding] = 3
    np.testing.assert_allclose(scores(ranker, short, ITEMS), scores(ranker, long, ITEMS), atol=1e-5)


def test_the_history_matters(ranker: FittedRanker) -> None:
    listened, skipped = [(5, LISTEN, NOW - MINUTE)], [(5, SKIP, NOW - MINUTE)]
    assert np.abs(np.diff(scores(ranker, user_batch([listened, skipped]), ITEMS), axis=0)).max() > 1e-3


@pytest.mark.parametrize("later", [0, 1, MINUTE])
def test_nothing_at_or_after_the_request_counts(ranker: FittedRanker, later: int) -> None:
    before = history(4, 3)
    leaking = [*before, (7, SKIP, NOW + later)]
    np.testing.assert_allclose(
        scores(ranker, user_batch([before]), ITEMS), scores(ranker, user_batch([leaking]), ITEMS), atol=1e-6
    )


@pytest.mark.parametrize("count", [0, 3, 60])
def test_compiled_inference_equals_the_layers(ranker: FittedRanker, count: int) -> None:
    users = user_batch([history(count, 1)])
    side = ranker.features.prepare_users(users)
    candidates = ranker.features.prepare_candidates(side, ITEMS[None])
    logits_CT = network_of(ranker).logits(side.inputs, candidates)[0]
    found = ranker.score(users, ITEMS[None])
    for task, logit_C in zip(ranker.tasks, logits_CT.T, strict=True):
        np.testing.assert_allclose(found[task][0], 1 / (1 + np.exp(-logit_C)), atol=5e-6)


def test_the_wide_part_adds_a_linear_function_of_the_inputs() -> None:
    ranker = new_ranker("session_domains")
    side = ranker.features.prepare_users(user_batch([history(6, 1)]))
    candidates, network = ranker.features.prepare_candidates(side, ITEMS[None]), network_of(ranker)
    wide = network.wide_skip_connection.weight
    drawn = torch.randn(wide.shape, generator=torch.Generator().manual_seed(1))
    logits = []
    with torch.inference_mode():
        for weight in (0 * drawn, drawn, 2 * drawn):
            wide.copy_(weight)
            logits.append(network.logits(side.inputs, candidates))
    added = logits[1] - logits[0]
    assert added.std() > 0.1
    np.testing.assert_allclose(logits[2] - logits[0], 2 * added, rtol=1e-4, atol=1e-4)


def test_edge_case_users_get_finite_scores(ranker: FittedRanker) -> None:
    all_masked = [(5, LISTEN, NOW + MINUTE)] * 4
    unknown = [(1, LISTEN, NOW - MINUTE), (10_000, SKIP, NOW - 2)]
    found = scores(ranker, user_batch([[], history(1, 0), all_masked, unknown]), np.array([0, 1, 5, 35, 10_000]))
    np.testing.assert_allclose(
        found[0], scores(ranker, user_batch([all_masked]), np.array([0, 1, 5, 35, 10_000]))[0], atol=1e-6
    )
    scores(ranker, user_batch([history(10_000, 4)], length=10_000), ITEMS)


def test_rare_tracks_share_the_embedding_of_unknown_ones(ranker: FittedRanker) -> None:
    rows = network_of(ranker).embedding.track(torch.tensor([0, 1, 30, 39, 5, 10_000]))
    assert rows[0].abs().sum() == 0
    assert torch.equal(rows[1], rows[2]) and torch.equal(rows[1], rows[3]) and torch.equal(rows[1], rows[5])
    assert not torch.equal(rows[1], rows[4])


def test_temperatures_divide_the_logits(ranker: FittedRanker) -> None:
    users = user_batch([history(6, 1)])
    plain = scores(ranker, users, ITEMS)[0, :, 0]
    ranker.resolved_config = change_config(ranker.resolved_config, {"validation.temperatures": (2.0, 1.0)})
    cooler = scores(ranker, users, ITEMS)[0, :, 0]
    logit = np.log(plain / (1 - plain))
    np.testing.assert_allclose(cooler, 1 / (1 + np.exp(-logit / 2)), atol=1e-4)


@pytest.mark.parametrize("name", sorted(RANKERS))
def test_results_depend_on_the_seed_only(name: str) -> None:
    users = user_batch([history(6, 1)])
    first, again, other = (scores(new_ranker(name, seed), users, ITEMS) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_a_saved_ranker_gives_the_same_scores(ranker: FittedRanker, tmp_path: Path) -> None:
    vocabulary = Vocabulary(
        track_ids_V=np.array([f"t{n}" for n in range(TRACKS)], dtype=object),
        artist_of_track_V=ranker.features.artist_of_track_V,
        artist_ids_A=np.array([f"a{n}" for n in range(12)], dtype=object),
        titles_V=np.array([""] * TRACKS, dtype=object),
        artist_names_A=np.array([""] * 12, dtype=object),
    )
    codes = vocabulary.encoders()["behavior"]
    rows = [[(5, codes["full_play"], NOW - 2 * MINUTE), (6, codes["skip"], NOW - MINUTE)]]
    made = ranker.features
    features = replace(
        RankingFeatures.from_vocabulary(
            vocabulary, made.statistics, ranker.resolved_config.features, made.genres, made.content
        ),
        trees=made.trees,
    )
    config = change_config(ranker.resolved_config, {"validation.temperatures": (1.5, 1.0)})
    written = replace(ranker, features=features, resolved_config=config, measures={"steps": 3})
    written.save(tmp_path)
    read = FittedRanker.load(tmp_path, vocabulary)
    np.testing.assert_array_equal(scores(written, user_batch(rows), ITEMS), scores(read, user_batch(rows), ITEMS))
    # A fit without trees, genres and content into the same folder does not keep this one's.
    replace(written, features=replace(features, trees=None, genres=None, content=None)).save(tmp_path)
    again = FittedRanker.load(tmp_path, vocabulary).features
    assert (again.trees, again.genres, again.content) == (None, None, None)
    assert (
        read.resolved_config == written.resolved_config and read.measures == {"steps": 3} and read.name == ranker.name
    )
    other = replace(vocabulary, track_ids_V=vocabulary.track_ids_V[:-1])
    with pytest.raises(ValueError, match="same release"):
        FittedRanker.load(tmp_path, other)
    with pytest.raises(FileNotFoundError, match=r"training\.train ranker"):
        FittedRanker.load(tmp_path / "nothing", vocabulary)
