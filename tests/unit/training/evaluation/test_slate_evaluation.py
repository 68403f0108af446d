"""Slates: order, caps, diversity and filters, which must be the same as in the service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from recommender.catalog.catalog import Catalog, TrackFacets
from recommender.ranking.task_weights import LISTWISE_HEAD, TaskWeights
from recommender.slate import ranker_blend
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.feedback import EVIDENCE
from recommender.slate.filters import Exclusions, FilterContext, apply_filters
from recommender.slate.fusion import SCORE_HALF_LIFE, Fusion
from recommender.slate.ranker_blend import Blend
from recommender.slate.scene_settings import MAX_RANKED_CANDIDATES
from recommender.user.exclusions import FOREVER, LeftOut, ProfileExclusions
from tests.support.training.evaluation_marts import FIRST, Play, write
from tests.support.training.recall_cases import Case, ragged, recall_cases
from training.data.training_data import TrainingData
from training.evaluation import model_selection, slate_evaluation
from training.evaluation.serving_filter import ServingFilter
from training.evaluation.slate_evaluation import Requests, Slate
from training.recipes import recipe

HOUR = 3_600_000_000
START = int((FIRST - FIRST.__class__(1970, 1, 1)).total_seconds()) * 1_000_000


def slate_of(cases: list[Case], items: list[list[int]], history: list[list[int]], **parts: Any) -> Slate:
    """A slate of items in fused order; without a ranker, and of unknown artists and facets, unless `parts` says otherwise."""
    size = max(map(max, items)) + 1
    artist_V = parts.pop("artist_V", np.zeros(size, np.int64))
    facets = parts.pop("facets", TrackFacets.build(pl.DataFrame({"styles": [[]] * size})))
    catalog: Any = SimpleNamespace(main_artist_V=artist_V, facets=facets)
    found = {"": np.array(items)}
    merged = CandidateTable.merge(found, ragged(*history)).split()
    tables = [
        table.take(table.item_C.searchsorted([item for item in order if item]))
        for table, order in zip(merged, items, strict=True)
    ]
    whole = {"ranker_CK": np.zeros(np.shape(items))}
    whole |= {"evidence": [np.zeros((len(table), len(EVIDENCE))) for table in tables]}
    return Slate(Requests(recall_cases(cases), found, ragged(*history), catalog, [], []), tables, **(whole | parts))


def repeats_first(share: float = 0.0, weight: float = 0.0, **order: Any) -> Blend:
    """An order with this share of discoveries in every scene."""
    return Blend(weight, discovery_shares={"": share}, **order)


def small_slate() -> Slate:
    ranker = np.array([[0.1, 0.2, 0.3, 0.9], [0.1, 0.9, 1.0, 1.0]])
    return slate_of(
        [Case("a", [5], [], []), Case("b", [3], [], [])],
        [[2, 3, 4, 5], [2, 3, 0, 0]],
        [[2, 3, 4, 5], [2, 3]],
        ranker_CK=ranker,
    )


def test_weight_zero_is_the_fused_order_and_one_the_order_of_the_ranker() -> None:
    assert small_slate().select_items(repeats_first())[:, :4].tolist() == [[2, 3, 4, 5], [2, 3, 0, 0]]
    assert small_slate().select_items(repeats_first(weight=1.0))[:, :4].tolist() == [[5, 4, 3, 2], [3, 2, 0, 0]]


@pytest.mark.parametrize(
    ("discovery_weight", "first"),
    [
        pytest.param(1.0, [3, 5, 7, 80, 9, 11, 13, 78, 15], id="by the ranker"),
        pytest.param(0.0, [3, 5, 7, 2, 9, 11, 13, 4, 15], id="by fusion"),
    ],
)
def test_repeats_and_discoveries_are_ranked_apart_and_interleaved(discovery_weight: float, first: list[int]) -> None:
    # The ranker prefers every repeat to every discovery, which are the even items.
    items = [*range(2, 82)]
    ranker = np.array([[0.9 if item % 2 else item / 100 for item in items]])
    full_slate = slate_of([Case("a", [3], [], [])], [items], [[item for item in items if item % 2]], ranker_CK=ranker)
    order = repeats_first(0.25, 1.0, discovery_weight=discovery_weight)
    assert full_slate.select_items(order)[0, :9].tolist() == first


def test_discovery_share_is_the_largest_with_little_loss() -> None:
    # Targets of 9 of 10 users are repeats: the first 15 (nothing is lost up to a share of one half), or also the 30th.
    items = [*range(2, 62)]
    history = [[*range(2, 32)]] * 10
    cases = [Case(f"u{n}", [*range(2, 17)] if n else [], [32] if not n else [], []) for n in range(10)]
    chosen, table = model_selection.choose_discovery_share(slate_of(cases, [items] * 10, history), repeats_first())
    assert chosen == model_selection.DISCOVERY_SHARES[-1] and set(table) == set(model_selection.DISCOVERY_SHARES)
    tight = [Case(f"u{n}", [31], [], []) for n in range(10)]
    assert model_selection.choose_discovery_share(slate_of(tight, [items] * 10, history), repeats_first())[0] == 0.0


@pytest.mark.parametrize(
    ("targets", "diversity"),
    [
        pytest.param([*range(2, 32)], 0.0, id="all of one style"),
        pytest.param([2], model_selection.DIVERSITY_STRENGTHS[-1], id="only the first track, so that it costs nothing"),
    ],
)
def test_diversity_is_the_largest_without_loss(targets: list[int], diversity: float) -> None:
    # Targets of nine of ten users are among the first thirty tracks, all rock; the next ten are folk.
    facets = TrackFacets.build(pl.DataFrame({"styles": [[], [], *[["rock"]] * 30, *[["folk"]] * 10]}))
    items, cases = [[*range(2, 42)]] * 10, [Case(f"u{n}", targets if n else [2], [], []) for n in range(10)]
    notes: dict[str, Any] = {}
    order = model_selection.tune_diversity(slate_of(cases, items, items, facets=facets), repeats_first(), notes)
    assert order.diversity == diversity
    assert notes["diversity_table"]["0.5"]["diversity"] > 0.3


def test_blend_by_hand() -> None:
    is_discovery = np.array([False, True, False, True])
    fused = ranker_blend.fused_scores(is_discovery)
    assert fused == pytest.approx(
        [1, 1, SCORE_HALF_LIFE / (SCORE_HALF_LIFE + 1), SCORE_HALF_LIFE / (SCORE_HALF_LIFE + 1)]
    )
    scores = Blend(0.5, discovery_weight=0.1).score(is_discovery, np.array([0.0, 0.5, 1.0, 0.25]))
    assert scores == pytest.approx([0.5, 0.9 + 0.05, 0.5 * fused[2] + 0.5, 0.9 * fused[3] + 0.025])
    assert ranker_blend.argsort_descending(np.array([0.1, 0.7, 0.7, 0.2])).tolist() == [1, 2, 3, 0]


def test_saved_blend_is_loaded_with_its_shares(tmp_path: Path) -> None:
    newer = Blend(
        0.3,
        TaskWeights({"": {"not_skipped": 1.0}}),
        discovery_weight=0.2,
        discovery_shares={"": 0.25, "private_fm": 0.4},
    )
    newer.save(tmp_path / "blend.json")
    assert Blend.load(tmp_path / "blend.json") == newer
    assert [newer.discovery_share(scene) for scene in ("daily", "private_fm")] == [0.25, 0.4]
    Blend(0.3, discovery_shares={"daily": 1.5}).save(tmp_path / "blend.json")
    with pytest.raises(ValueError, match=r"discovery_shares\.daily\s+Input should be less than or equal to 1"):
        Blend.load(tmp_path / "blend.json")


@pytest.mark.parametrize(("target", "is_ranker_better"), [(41, True), (12, False)])
def test_ranker_weight_among_discoveries_is_chosen_by_their_recall(target: int, is_ranker_better: bool) -> None:
    items = [*range(2, 42)]
    ranker = np.array([[item / 100 for item in items]])  # reverses the fused order
    full_slate = slate_of([Case("a", [], [target], [target])], [items], [[*range(2, 12)]], ranker_CK=ranker)
    assert (
        model_selection.tune_discovery_weight(full_slate, repeats_first(0.1), {}).discovery_weight > 0
    ) == is_ranker_better


def test_sample_is_stable_when_the_window_moves() -> None:
    users = [Case(f"u{n % 3}", [2], [], [], request_at=n * HOUR) for n in range(300)]
    before, after = (
        {(cases.user_ids[row], cases.request_at_C[row]) for row in slate_evaluation.sample_rows(cases, 20)}
        for cases in (recall_cases(users[:270]), recall_cases(users[30:]))
    )
    assert len(before) == 60 and len(before & after) > 40


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    """Ten tracks by three artists: two are the same recording, one is withdrawn, one unreleased; u has a block and
    dislikes.
    """
    tracks = [f"{n}" for n in range(10)]
    folder = write(
        tmp_path, [Play("u", n, track, 0) for n, track in enumerate(tracks)], {t: f"a{int(t) % 3}" for t in tracks}
    )
    rows = pl.read_parquet(folder / "tracks.parquet").with_columns(
        recording_id=pl.when(pl.col("track_id").is_in(["1", "8"])).then(pl.lit("one recording")),
        available_until=pl.when(pl.col("track_id") == "3").then(pl.lit(FIRST)),
        available_from=pl.when(pl.col("track_id") == "4").then(pl.lit(FIRST.replace(year=2030))),
    )
    rows.write_parquet(folder / "tracks.parquet")
    events = pl.read_parquet(folder / "events.parquet")
    excluded = events.head(3).with_columns(
        event_id=pl.Series(["x", "y", "z"]),
        known_at=pl.Series([FIRST.replace(hour=11), FIRST.replace(hour=12), FIRST.replace(day=9)]),
        behavior=pl.Series(["block", "dislike", "dislike"]),
        target_type=pl.Series(["artist", "track", "track"]),
        target_id=pl.Series(["a2", "8", "6"]),
    )
    pl.concat([events, excluded]).sort("user_id", "known_at").write_parquet(folder / "events.parquet")
    return TrainingData(folder, "held_out", recipe("debug"))


@pytest.mark.parametrize("hours", [1, 11.5, 24, 400])
def test_service_applies_the_same_filters(data: TrainingData, hours: float) -> None:
    at = START + int(hours * HOUR)
    items = np.random.default_rng(int(hours)).permutation(np.arange(2, 12))[None, :]
    ((read, _),) = ServingFilter.from_data(data).read_requests(recall_cases([Case("u", [2], [], [], request_at=at)]))
    left = apply_filters(items[0], read)[0]

    exclusions = Exclusions(
        frozenset(name for time, name in ((12, "8"), (192, "6")) if time < hours),
        frozenset(["a2"] if hours > 11 else []),
    )
    context = FilterContext(Catalog.build(data.track_rows, data.vocabulary), exclusions, data.vocabulary.track_code, at)
    assert left.tolist() == apply_filters(items[0], context)[0].tolist()


def test_filters_remove_tracks_left_out_of_the_profile(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    at = START + HOUR
    left_out = LeftOut(data.vocabulary.encode(["0", "6", "7"]), np.array([FOREVER, at, at - 1]))
    monkeypatch.setitem(vars(data), "profile_exclusions", ProfileExclusions({"u": left_out}))
    cases = recall_cases([Case(user, [2], [], [], request_at=at) for user in ("u", "other")])
    items = np.arange(2, 12)
    left = [items[apply_filters(items, read)[0]] for read, _ in ServingFilter.from_data(data).read_requests(cases)]
    assert set(data.vocabulary.decode(np.setdiff1d(left[1], left[0]))) == {"0", "6"}, "7 was reset before the request"


@pytest.mark.parametrize("requests_at_once", [1, 256])
def test_candidates_are_filtered_before_the_cut_of_the_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests_at_once: int
) -> None:
    """As the service does."""
    monkeypatch.setattr(slate_evaluation, "FUSION_BATCH_SIZE", requests_at_once)
    tracks = [f"{n}" for n in range(500)]
    plays = [Play("u", n / 100, track, 0) for n, track in enumerate(tracks)]
    folder = write(tmp_path, plays, {track: "blocked" if int(track) < 150 else "other" for track in tracks})
    events = pl.read_parquet(folder / "events.parquet")
    block = events.tail(1).with_columns(
        event_id=pl.lit("x"), behavior=pl.lit("block"), target_type=pl.lit("artist"), target_id=pl.lit("blocked")
    )
    pl.concat([events, block]).write_parquet(folder / "events.parquet")
    data = TrainingData(folder, "held_out", recipe("debug"))
    items = data.vocabulary.encode(tracks)
    scenes = np.array(["daily", None, "private_fm"], dtype=object)
    cases = recall_cases([Case("u", [2], [], [], request_at=START + 900 * HOUR)] * len(scenes))
    candidates = {"popularity": np.tile(items, (len(scenes), 1))}
    requests = Requests.read(
        replace(cases, scenes=scenes), candidates, ragged([], [], []), ServingFilter.from_data(data)
    )
    for table in Slate.build(requests, Fusion()).tables:
        assert table.item_C.tolist() == items[150:][:MAX_RANKED_CANDIDATES].tolist()


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
    served, order = model_selection._tune_listwise_head(two_heads, TaskWeights(), notes)
    assert order.heads.for_scene("")[LISTWISE_HEAD] >= 0.5 and order.weight > 0
    assert served.select_items(order)[:, 0].tolist() == [5, 3]
    assert notes["listened_table"]["0.0"]["ndcg_at_10"] < notes["listened_table"]["1.0"]["ndcg_at_10"]
    # Without a listwise head, its share is 0.
    _, order = model_selection._tune_listwise_head(
        replace(two_heads, task_probabilities={"not_skipped": two_heads.task_probabilities["not_skipped"]}),
        TaskWeights(),
        notes,
    )
    assert order.heads.active_tasks == {"not_skipped"} and set(notes["listened_table"]) == {"0.0"}


NAN = float("nan")


@pytest.mark.parametrize(
    ("gauc", "selected"),
    [
        ({"sum_pooling": 0.81, "target_attention": 0.824, "session_domains": 0.832}, "session_domains"),
        ({"sum_pooling": 0.81, "target_attention": 0.8235, "interest_evolution": 0.8240}, "target_attention"),
        ({"sum_pooling": NAN, "target_attention": 0.6}, "target_attention"),
        ({"sum_pooling": NAN}, "sum_pooling"),
    ],
)
def test_complex_ranker_is_selected_if_the_gain_is_sufficient(gauc: dict[str, float], selected: str) -> None:
    assert model_selection.select_ranker(gauc) == selected
