"""Tuned baselines on a small world: training data, excluded tracks, selection on validation, top k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.training.evaluation_marts import Play, write
from tests.support.training.fitted_workspace import TRACKS, plays
from training.data.recall_cases import recall_table
from training.data.training_data import TrainingData
from training.evaluation.baselines import user_plays
from training.evaluation.baselines.ease import EaseConfig
from training.evaluation.baselines.ials import IALSConfig
from training.evaluation.baselines.item_knn import ItemKNNConfig
from training.evaluation.baselines.listen_matrix import ListenMatrix
from training.evaluation.baselines.top_k import GROUPS, top_k
from training.evaluation.baselines.tuned import BASELINES, VALIDATION_CASES_PER_USER, Baselines, tune_in_stages
from training.recipes import recipe

K = 10
ARTISTS = {f"{track:03}": f"a{track % 9}" for track in range(TRACKS)}


def world(folder: Path, change: str | None = None) -> TrainingData:
    """The small world; all plays of the part `change` have another track."""
    rows = [
        replace(play, track=f"{(int(play.track) + 7) % TRACKS:03}") if play.part == change else play
        for play in plays(seed=0)
    ]
    return TrainingData(write(folder, rows, ARTISTS), "held_out", recipe("debug"))


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """The small world, unchanged."""
    return world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def tuned(small_world: TrainingData) -> Baselines:
    """The baselines of the small world."""
    return Baselines.tune(small_world, K)


def test_matrix_has_the_listens_of_the_train_part(tmp_path: Path) -> None:
    rows = [
        *(Play("u", hour, track, 0) for hour, track in enumerate("AABABC")),
        *(Play("v", hour, track, 0, played_ms=60_000 if track == "B" else 5_000) for hour, track in enumerate("BDB")),
        Play("u", 50, "E", 1, part="validation"),
        Play("v", 50, "F", 1, part="test"),
    ]
    data = TrainingData(write(tmp_path, rows, dict.fromkeys("ABCDEF", "one")), "held_out", recipe("debug"))
    listens = ListenMatrix.from_data(data)
    assert data.vocabulary.decode(listens.tracks_I) == ["B", "A", "C"]
    assert listens.counts_UI.toarray().tolist() == [[2, 3, 1], [2, 0, 0]]
    assert listens.column_V[data.vocabulary.encode(list("ABCDEF"))].tolist() == [1, 0, 2, -1, -1, -1]


def test_lists_use_the_history_before_each_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_plays, "CASE_BATCH_SIZE", 2)
    data, config = world(tmp_path), EaseConfig(5, 0.5)
    listens, cases, listened = ListenMatrix.from_data(data), data.recall_cases("test"), data.plays
    found = Baselines(data, listens, {"ease": config}, {}, 0).recall(cases, K)["ease"]
    model = config.fit(listens)
    for case in range(len(cases)):
        rows = (listened.user_P == cases.user_C[case]) & (listened.play_number_P < cases.play_number_C[case])
        is_played_I = np.isin(listens.tracks_I, listened.track_P[rows])
        past = listened.track_P[rows & listened.is_listened_P]
        counts_I = np.bincount(listens.column_V[past][listens.column_V[past] >= 0], minlength=len(listens.tracks_I))
        score_I = model.scores(np.arange(len(counts_I)), counts_I[None])[:, 0]
        order = [
            column for column in np.argsort(-score_I, kind="stable") if score_I[column] > 0 and not is_played_I[column]
        ]
        assert found[case].tolist() == [*listens.tracks_I[order[:K]], *[0] * (K - len(order))]


def test_candidates_are_not_tracks_that_the_user_has_skipped(tmp_path: Path) -> None:
    """B is in as many lists of others as C, and popular, but a track that was skipped cannot be a discovery."""
    others = [Play(user, hour, track, 0) for user in "vw" for hour, track in enumerate("ABBC")]
    rows = [Play("u", 0, "A", 0), Play("u", 1, "B", 0, played_ms=5_000), Play("u", 50, "C", 1, part="test"), *others]
    data = TrainingData(write(tmp_path, rows, dict.fromkeys("ABC", "one")), "held_out", recipe("debug"))
    baselines = Baselines(data, ListenMatrix.from_data(data), {"item_knn": ItemKNNConfig(0, 0)}, {}, 0)
    lists = baselines.recall(data.recall_cases("test"), 1)["item_knn"]
    assert data.vocabulary.decode(lists[0]) == ["C"]


def test_best_grid_member_on_validation_is_chosen(tuned: Baselines) -> None:
    assert tuned.configs.keys() == BASELINES.keys()
    for name, (_, stages) in BASELINES.items():
        metrics = {config: table["recall_at_200/reachable"] for config, table in tuned.table[name].items()}
        chosen = tuned.configs[name]
        assert metrics[chosen] == max(metrics.values())
        for parameter, values in stages[-1].items():
            assert {replace(chosen, **{parameter: value}) for value in values} <= metrics.keys()


def test_stages_keep_the_best_values_of_earlier_ones() -> None:
    """Results are the distance from a config; a stage with two parameters tries all pairs."""
    stages = [{"width": (8, 16), "power": (0, 1)}, {"regularization": (1, 2, 3)}]
    tried: list[list[IALSConfig]] = []

    def evaluate(configs: Sequence[IALSConfig]) -> list[int]:
        tried.append(list(configs))
        return [abs(config.width - 16) + abs(config.power - 1) + abs(config.regularization - 2) for config in configs]

    chosen, table = tune_in_stages({"ials": (IALSConfig(8, 1, 1, 0), stages)}, evaluate, lambda distance: -distance)
    assert chosen["ials"] == IALSConfig(16, 2, 1, 1) and table["ials"][chosen["ials"]] == 0
    assert [len(configs) for configs in tried] == [4, 2], "the config of both stages is evaluated once"


def test_without_a_value_the_first_configs_are_chosen() -> None:
    """Validation has no target that can be reached."""
    chosen, _ = tune_in_stages(BASELINES, lambda configs: [0.0] * len(configs), float)
    assert chosen == {name: first for name, (first, _) in BASELINES.items()}


def test_grids_have_values_on_both_sides_of_the_first_ones() -> None:
    """Best values of the public data were at an edge of a grid without widths and confidences."""
    first, stages = BASELINES["ials"]
    values = {name: some for stage in stages for name, some in stage.items()}
    for name in ("confidence", "regularization", "width"):
        assert min(values[name]) < getattr(first, name) < max(values[name])


def test_validation_metrics_are_those_of_the_sample(small_world: TrainingData, tuned: Baselines) -> None:
    validation = small_world.recall_cases("validation")
    cases = validation.sample(validation.number_per_user(VALIDATION_CASES_PER_USER), small_world.recipe.seed)
    for name, items_CK in tuned.recall(cases, K).items():
        metrics = tuned.table[name][tuned.configs[name]]
        assert recall_table(items_CK, cases).items() <= metrics.items()
        assert metrics["recall_at_200/repeat/with_heard"] > metrics["recall_at_200/repeat"]


@pytest.mark.parametrize(("part", "is_same"), [("test", True), ("validation", False), ("train", False)])
def test_test_part_does_not_influence_the_choice(tmp_path: Path, tuned: Baselines, part: str, is_same: bool) -> None:
    changed = Baselines.tune(world(tmp_path, part), K)
    assert (tuned.notes() == changed.notes()) == is_same


@pytest.mark.parametrize("items", [3, 500, 2 * GROUPS, 3 * GROUPS + 7])
@pytest.mark.parametrize("kind", ["distinct", "ties", "few", "none"])
def test_top_k_equals_a_full_sort(items: int, kind: str) -> None:
    random = np.random.default_rng(items)
    scores_IC = random.normal(size=(items, 5)).astype(np.float32)
    if kind == "ties":
        scores_IC = np.round(scores_IC)
    if kind == "few":
        scores_IC[10:] = -np.inf
    if kind == "none":
        scores_IC = -np.abs(scores_IC)
    found = top_k(scores_IC, 20)
    for case, column in enumerate(scores_IC.T):
        best = [item for item in np.argsort(-column, kind="stable").tolist() if column[item] > 0][:20]
        assert found[case].tolist() == best + [-1] * (20 - len(best))
