"""Tuned baselines on a small world: training data, excluded tracks, selection on validation, top k."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.training.evaluation_marts import Play, write
from tests.support.training.fitted_workspace import small_data
from training.data.training_data import TrainingData
from training.evaluation.baselines import tuned as tuned_module
from training.evaluation.baselines import user_plays
from training.evaluation.baselines.collaborative import IALS, Ease
from training.evaluation.baselines.tuned import BASELINES, FAMILIES, HEURISTICS, Baselines, Stage, tune_in_stages
from training.evaluation.baselines.user_plays import ListenMatrix, TrainSessions
from training.recipes import recipe

K = 10


def shorten(stages: Sequence[Stage]) -> list[Stage]:
    """The first and the last stage, with two values each."""
    return [{name: values[:2] for name, values in stage.items()} for stage in (stages[0], *stages[1:][-1:])]


SHORT_GRIDS = {
    section: ({name: (config, shorten(stages)) for name, (config, stages) in grids.items()}, *others)
    for section, (grids, *others) in FAMILIES.items()
}


@pytest.fixture(scope="module", autouse=True)
def _short_grids() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuned_module, "FAMILIES", SHORT_GRIDS)
        yield


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Baselines:
    """The baselines of the small world."""
    return Baselines.tune(small_data(tmp_path_factory.mktemp("world")), K)


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
    data, config = small_data(tmp_path), Ease(5, 0.5)
    sessions, cases, listened = TrainSessions.from_data(data), data.recall_cases("test"), data.plays
    found = Baselines(data, sessions, {"ease": config}, {}, {}).recall(cases, K)["ease"]
    model, listens = config.fit(sessions), sessions.listens
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


@pytest.mark.parametrize("name", BASELINES)
def test_best_grid_member_on_validation_is_chosen(tuned: Baselines, name: str) -> None:
    metrics = {config: table["recall_at_200/reachable"] for config, table in tuned.table[name].items()}
    chosen, (_, stages) = tuned.configs[name], SHORT_GRIDS["baselines"][0][name]
    assert metrics[chosen] == max(metrics.values())
    for parameter, values in stages[-1].items():
        assert {replace(chosen, **{parameter: value}) for value in values} <= metrics.keys()


def test_stages_keep_the_best_values_of_earlier_ones() -> None:
    """Results are the distance from a config; a stage with two parameters tries all pairs."""
    stages = [{"width": (8, 16), "power": (0, 1)}, {"regularization": (1, 2, 3)}]
    tried: list[list[IALS]] = []

    def evaluate(configs: Sequence[IALS]) -> list[int]:
        tried.append(list(configs))
        return [abs(config.width - 16) + abs(config.power - 1) + abs(config.regularization - 2) for config in configs]

    chosen, table = tune_in_stages(IALS(8, 1, 1, 0, 1), stages, evaluate, lambda distance: -distance)
    assert chosen == IALS(16, 2, 1, 1, 1) and table[chosen] == 0
    assert [len(configs) for configs in tried] == [4, 2], "the config of both stages is evaluated once"


@pytest.mark.parametrize(("part", "is_same"), [("test", True), ("validation", False)])
def test_test_part_does_not_influence_the_choice(tmp_path: Path, tuned: Baselines, part: str, is_same: bool) -> None:
    changed = Baselines.tune(small_data(tmp_path, part), K)
    assert tuned.configs.keys() == changed.configs.keys() == {*BASELINES, *HEURISTICS}
    assert (tuned.notes() == changed.notes()) == is_same
