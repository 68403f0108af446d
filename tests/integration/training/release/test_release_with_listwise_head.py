"""The listwise head is released with the ranker if and only if it has a weight."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recommender.ranking.listwise_head import MANIFEST, TREES
from recommender.ranking.task_weights import LISTWISE_HEAD, TaskWeights
from recommender.slate.ranker_blend import Blend
from releases.bundle import Release
from tests.support.training.fitted_workspace import workspace
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.evaluate import evaluate
from training.recipes import recipe
from training.release.gate import Verdict
from training.release.manifest import build, release_inputs
from training.release.write import write
from training.train import train
from training.workspace import INPUTS_FILE, Workspace


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        here = workspace(tmp_path_factory.mktemp("home"), monkeypatch, ranker="target_attention")
        evaluate(here)
        yield here


def test_released_head_is_the_evaluated_one(measured: Workspace) -> None:
    held_out, final = (measured.model_folder("head", fit, LISTWISE_HEAD) for fit in ("held_out", "final"))
    for name in (TREES, MANIFEST):
        assert (final / name).read_bytes() == (held_out / name).read_bytes()
    assert not train(measured, "head", LISTWISE_HEAD, "final")
    record = held_out / INPUTS_FILE
    before = record.read_text()
    record.write_text(json.dumps(json.loads(before) | {"hash": "fitted again"}))
    assert train(measured, "head", LISTWISE_HEAD, "final")
    record.write_text(before)
    assert train(measured, "head", LISTWISE_HEAD, "final"), "a release has the head of the evaluated fit"


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_head_is_released_if_it_has_a_weight(measured: Workspace, tmp_path: Path, share: float) -> None:
    Blend(0.4, TaskWeights().with_listwise_share(share)).save(measured.folder / "evaluation" / "blend.json")
    manifest = build(measured, release_inputs(measured), Verdict(True, (), {}), None, None)
    write(measured, manifest, tmp_path)
    loaded = Release.load(tmp_path)
    assert manifest["heads"] == ([LISTWISE_HEAD] if share else []) == [path.name for path in tmp_path.glob("heads/*")]
    assert (loaded.ranker.listwise_head is not None) == bool(share)
    users = OfflineFeatures(TrainingData(measured.marts, "final", recipe("debug"))).load_user_batch(
        "recommender", ["00", "07", "unknown_user"], np.full(3, 2_000_000_000_000_000)
    )
    assert (LISTWISE_HEAD in loaded.ranker.score(users, np.tile(np.arange(2, 12), (3, 1)))) == bool(share)
