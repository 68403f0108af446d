"""Slates: order, caps, diversity and filters, which must be the same as those of the service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serving.pipeline.track_pipeline import select, select_diverse
from tests.support.training.evaluation_marts import FIRST, Play, write
from tests.support.training.recall_cases import Case, recall_cases
from training.data.catalog import Catalog, TrackFacets
from training.data.training_data import TrainingData
from training.evaluation import model_selection, slate
from training.evaluation.serving_filter import ServingFilter
from training.evaluation.slate import Slate
from training.ranking.task_weights import LISTWISE_HEAD, TaskWeights
from training.recipes import recipe
from training.slate import blend
from training.slate.diversity import MAX_TRACKS_PER_ARTIST, cap_tracks_per_artist
from training.slate.filters import Exclusions, FilterContext, apply_filters

HOUR = 3_600_000_000
START = int((FIRST - FIRST.__class__(1970, 1, 1)).total_seconds()) * 1_000_000


def small_slate() -> Slate:
    cases = recall_cases([Case("a", [5], [], []), Case("b", [3], [], [])])
    items = np.array([[2, 3, 4, 5], [2, 3, 0, 0]])
    fused = np.array([[0.8, 0.4, 0.2, 0.1], [0.5, 0.4, 0.0, 0.0]])
    return Slate(cases, items, fused, np.array([[0.1, 0.2, 0.3, 0.9], [0.1, 0.9, 1.0, 1.0]]), np.zeros(9, np.int64))


def test_weight_zero_is_the_fused_order_and_one_the_order_of_the_ranker() -> None:
    assert small_slate().select_items(0.0)[:, :4].tolist() == [[2, 3, 4, 5], [2, 3, 0, 0]]
    assert small_slate().select_items(1.0)[:, :4].tolist() == [[5, 4, 3, 2], [3, 2, 0, 0]]


def test_tracks_per_artist_are_capped() -> None:
    items = np.arange(2, 42)[None, :]
    artist_of_track_V = np.where(np.arange(42) < 27, 7, np.arange(42))
    full_slate = Slate(
        recall_cases([Case("a", [5], [], [])]),
        items,
        np.linspace(1, 0.1, 40)[None, :],
        np.zeros((1, 40)),
        artist_of_track_V,
    )
    shown = [item for item in full_slate.select_items(0.0)[0].tolist() if item]
    assert shown == [*range(2, 2 + MAX_TRACKS_PER_ARTIST), *range(27, 42)]


def test_artist_caps_reduce_recall_of_the_artist() -> None:
    items = np.arange(2, 42)[None, :]
    full_slate = Slate(
        recall_cases([Case("a", [2, 6], [], [])]),
        items,
        np.linspace(1, 0.1, 40)[None, :],
        np.zeros((1, 40)),
        np.where(np.arange(42) < 27, 7, np.arange(42)),
    )
    metrics = full_slate.measure_artist_caps(0.0)
    assert [metrics[cap]["recall_at_30"] for cap in (2, 3, 5, slate.LENGTH)] == [0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("cap", [1, 3, 10])
def test_service_applies_the_same_cap(data: TrainingData, cap: int) -> None:
    catalogue = Catalog.build(data.track_rows, data.vocabulary)
    items = np.random.default_rng(cap).permutation(np.arange(2, 12))
    places = cap_tracks_per_artist(data.vocabulary.artist_of_track_V[items], cap)
    assert places[:8].tolist() == select(items, catalogue, 8, cap)


@pytest.mark.parametrize("strength", [0.05, 0.3, 1.0])
def test_service_applies_the_same_diversity(data: TrainingData, strength: float) -> None:
    facets = {"styles": [["rock", "pop", "folk"][n % 3 : n % 3 + 1] for n in range(len(data.track_rows))]}
    catalogue = Catalog.build(
        data.track_rows.with_columns(**{k: pl.Series(v) for k, v in facets.items()}), data.vocabulary
    )
    items, scores = np.random.default_rng(1).permutation(np.arange(2, 12)), np.linspace(1, 0.2, 10)
    full_slate = Slate(
        recall_cases([Case("a", [5], [], [])]),
        items[None, :],
        scores[None, :],
        np.zeros((1, 10)),
        data.vocabulary.artist_of_track_V,
        catalogue.facets,
    )
    shown = full_slate.select_items(0.0, 3, strength)[0]
    places = select_diverse(items, scores, catalogue, slate.LENGTH, 3, strength, 0)
    assert shown[shown > 0].tolist() == items[places].tolist()


def test_diversity_is_the_largest_without_loss() -> None:
    # The targets of nine of ten users are the first thirty tracks, all rock; the next ten are folk.
    items = np.tile(np.arange(2, 42), (10, 1))
    rows = pl.DataFrame({"styles": [[], [], *[["rock"]] * 30, *[["folk"]] * 10]})
    cases = recall_cases([Case(f"u{n}", [*range(2, 32)] if n else [2], [], []) for n in range(10)])
    full_slate = Slate(
        cases,
        items,
        np.tile(np.linspace(1, 0.9, 40), (10, 1)),
        np.zeros((10, 40)),
        np.zeros(42, np.int64),
        TrackFacets.build(rows),
    )
    chosen, table = full_slate.choose_diversity(0.0)
    assert (chosen, table[0.0]["diversity"]) == (0.0, 0.0)
    assert table[0.5]["diversity"] > 0.3 and table[0.5]["recall_at_30"] < 1
    # If only the first track is a target, diversity costs nothing.
    free = replace(full_slate, cases=recall_cases([Case(f"u{n}", [2], [], []) for n in range(10)]))
    assert free.choose_diversity(0.0)[0] == slate.DIVERSITY_STRENGTHS[-1]
    assert replace(full_slate, facets=None).choose_diversity(0.0)[1].keys() == {0.0}
    nothing = replace(free, facets=TrackFacets.build(pl.DataFrame({"styles": [[]] * 42})))
    assert nothing.choose_diversity(0.0)[0] == 0.0


def test_blend_by_hand() -> None:
    scores = blend.blend_scores(np.array([0.8, 0.4, 0.2]), np.array([0.0, 0.5, 1.0]), 0.5)
    assert scores == pytest.approx([0.5 * 1, 0.5 * 0.5 + 0.25, 0.5 * 0.25 + 0.5])
    assert blend.argsort_descending(np.array([0.1, 0.7, 0.7, 0.2])).tolist() == [1, 2, 3, 0]
    both = blend.blend_scores(small_slate().fused_CK, small_slate().ranker_CK, 0.3)
    for row in range(2):
        assert both[row] == pytest.approx(
            blend.blend_scores(small_slate().fused_CK[row], small_slate().ranker_CK[row], 0.3)
        )


def test_ties_between_weights_go_to_the_smallest() -> None:
    chosen, table = small_slate().choose_weight()
    totals = {weight: sum(row.values()) for weight, row in table.items()}
    assert chosen == min(weight for weight in totals if totals[weight] == pytest.approx(max(totals.values())))
    constant = Slate(
        small_slate().cases, small_slate().items_CK, small_slate().fused_CK, np.full((2, 4), 0.5), np.zeros(9, np.int64)
    )
    assert constant.choose_weight()[0] == 0.0


def test_sample_is_stable_when_the_window_moves() -> None:
    users = [Case(f"u{n % 3}", [2], [], [], request_at=n * HOUR) for n in range(300)]
    before, after = recall_cases(users[:270]), recall_cases(users[30:])
    sample = {(before.user_ids[row], before.request_at_C[row]) for row in slate.sample_rows(before, 20)}
    moved_sample = {(after.user_ids[row], after.request_at_C[row]) for row in slate.sample_rows(after, 20)}
    assert len(sample) == 60
    assert len(sample & moved_sample) > 40


def test_sample_has_all_cases_of_a_user_with_few() -> None:
    cases = recall_cases([Case("few", [2], [], [], request_at=n) for n in range(3)])
    assert slate.sample_rows(cases, 5).tolist() == [0, 1, 2]


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """Ten tracks by three artists: two are the same recording, one is withdrawn, one unreleased; u has a block and
    dislikes.
    """
    tracks = [f"{n}" for n in range(10)]
    folder = write(
        tmp_path, [Play("u", n, track, 0) for n, track in enumerate(tracks)], {t: f"a{int(t) % 3}" for t in tracks}
    )
    moment = {"3": FIRST, "4": FIRST.replace(year=2030)}
    rows = pl.read_parquet(folder / "tracks.parquet").with_columns(
        recording_id=pl.when(pl.col("track_id").is_in(["1", "8"])).then(pl.lit("one recording")),
        available_until=pl.when(pl.col("track_id") == "3").then(pl.lit(moment["3"])),
        available_from=pl.when(pl.col("track_id") == "4").then(pl.lit(moment["4"])),
    )
    rows.write_parquet(folder / "tracks.parquet")
    events = pl.read_parquet(folder / "events.parquet")
    excluded = events.head(3).with_columns(
        event_id=pl.Series(["x", "y", "z"]),
        known_at=pl.Series([FIRST.replace(hour=11), FIRST.replace(hour=12), FIRST.replace(day=9)]),
        behaviour=pl.Series(["block", "dislike", "dislike"]),
        target_type=pl.Series(["artist", "track", "track"]),
        target_id=pl.Series(["a2", "8", "6"]),
    )
    pl.concat([events, excluded]).sort("user_id", "known_at").write_parquet(folder / "events.parquet")
    return TrainingData(folder, "held_out", recipe("debug"))


@pytest.mark.parametrize("hours", [1, 11.5, 24, 400])
def test_service_applies_the_same_filters(data: TrainingData, hours: float) -> None:
    at = START + int(hours * HOUR)
    items = np.random.default_rng(int(hours)).permutation(np.arange(2, 12))[None, :]
    scores = np.linspace(1, 0.1, 10)[None, :]
    items_left, scores_left = ServingFilter.from_data(data).filter_candidates(
        items, recall_cases([Case("u", [2], [], [], request_at=at)]), scores
    )

    before = [
        (time, kind, name)
        for time, kind, name in [(11, "artist", "a2"), (12, "track", "8"), (192, "track", "6")]
        if time < hours
    ]
    exclusions = Exclusions(
        frozenset(name for _, kind, name in before if kind == "track"),
        frozenset(name for _, kind, name in before if kind == "artist"),
    )
    tracks = data.track_rows
    context = FilterContext(Catalog.build(tracks, data.vocabulary), exclusions, data.vocabulary.track_code, at)
    places, _ = apply_filters(items[0], context)
    assert items_left[0, : len(places)].tolist() == items[0, places].tolist()
    assert not items_left[0, len(places) :].any()
    assert scores_left[0, : len(places)] == pytest.approx(scores[0, places])


def test_filters_remove_excluded_tracks(data: TrainingData) -> None:
    items = np.arange(2, 12)[None, :]
    at = START + 24 * HOUR
    left, _ = ServingFilter.from_data(data).filter_candidates(
        items, recall_cases([Case("u", [2], [], [], request_at=at)]), np.ones((1, 10))
    )
    ids = set(data.vocabulary.decode(left[0][left[0] > 0]))
    # Removed: 2, 5, 8 of artist a2; 1 and 8, the disliked recording; 3 (withdrawn), 4 (unreleased). 6 is disliked
    # later.
    assert ids == {"0", "6", "7", "9"}


def test_listwise_head_gets_the_share_chosen_on_validation() -> None:
    # The pointwise head ranks a wrong track first, the listwise head the target.
    two_heads = replace(
        small_slate(),
        task_probabilities={
            "not_skipped": np.array([[0.9, 0.5, 0.4, 0.1], [0.9, 0.2, 0.1, 0.1]], np.float32),
            LISTWISE_HEAD: np.array([[0.1, 0.2, 0.3, 0.8], [0.1, 0.8, 0.1, 0.1]], np.float32),
        },
    )
    notes: dict[str, Any] = {}
    served, heads, weight = model_selection._tune_listwise_head(two_heads, TaskWeights(), notes)
    assert heads.for_scene("")[LISTWISE_HEAD] >= 0.5 and weight > 0
    assert served.select_items(weight)[:, 0].tolist() == [5, 3]
    assert set(notes["listened_table"]) == {str(share) for share in model_selection.LISTWISE_HEAD_SHARES}
    assert notes["listened_table"]["0.0"]["ndcg_at_10"] < notes["listened_table"]["1.0"]["ndcg_at_10"]
    # Without a listwise head, its share is 0.
    _, heads, _ = model_selection._tune_listwise_head(
        replace(two_heads, task_probabilities={"not_skipped": two_heads.task_probabilities["not_skipped"]}),
        TaskWeights(),
        notes,
    )
    assert heads.active_tasks == {"not_skipped"} and set(notes["listened_table"]) == {"0.0"}


def test_complex_ranker_is_selected_if_the_gain_is_sufficient() -> None:
    gauc = {"sum_pooling": 0.8101, "target_attention": 0.8235, "interest_evolution": 0.8240, "session_domains": 0.8319}
    assert model_selection.select_ranker(gauc) == "session_domains"
    assert model_selection.select_ranker({name: gauc[name] for name in list(gauc)[:3]}) == "target_attention"
    assert model_selection.select_ranker({"sum_pooling": float("nan"), "target_attention": 0.6}) == "target_attention"
    assert model_selection.select_ranker({"sum_pooling": float("nan")}) == "sum_pooling"
