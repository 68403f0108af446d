"""From fitted models to the active release, with a real BentoML store in a temporary folder."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest

from config.settings import load_settings
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.recall.registry import CHANNELS
from recommender.slate.continuation_weights import Continuation
from releases import model_store, traffic_split
from releases.__main__ import ACTIONS
from releases.__main__ import main as act
from releases.bundle import Release
from releases.deployment import open_pointer, traffic_split_file
from releases.format import MissingInput
from sequences.feature_services import ServiceContract
from serving.releases.served_release import load_release
from tests.support.signing_keys import write_keys
from tests.support.training.fitted_workspace import workspace
from training.data.offline_features import OfflineFeatures
from training.data.training_data import TrainingData
from training.evaluate import evaluate
from training.recipes import recipe
from training.release.__main__ import main
from training.release.gate import METRIC
from training.release.manifest import release_inputs
from training.release.publish import release
from training.workspace import INPUTS_FILE, Workspace, mark_done


@pytest.fixture(scope="module")
def released_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """An evaluated workspace. BentoML reads its home once, so the tests of this file share one store and run in order."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    home = tmp_path_factory.mktemp("home")
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        BentoMLContainer.model_store_dir.patch(str(home / "bentoml" / "models")),
    ):
        BentoMLContainer.model_store.reset()
        here = workspace(home, monkeypatch)
        evaluate(here)
        (home / "bentoml" / "models").mkdir(parents=True)
        yield here
        BentoMLContainer.model_store.reset()


def change(here: Workspace, shift: float) -> None:
    """Change the choices, and so the release id, and shift the metric of the served slate."""
    folder = here.folder / "evaluation"
    blend = json.loads((folder / "blend.json").read_text())
    blend["weight"] = round((blend["weight"] + 0.013) % 1, 6)
    (folder / "blend.json").write_text(json.dumps(blend))
    better = pl.when(pl.col("name") == "served").then(pl.col(METRIC) + shift).otherwise(METRIC)
    pl.read_parquet(folder / "slate.parquet").with_columns(better.alias(METRIC)).write_parquet(folder / "slate.parquet")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    is_action = arguments[:1] != () and arguments[0] in ACTIONS
    monkeypatch.setattr(
        sys, "argv", ["releases", *arguments] if is_action else ["release", "--recipe", "debug", *arguments]
    )
    return act() if is_action else main()


def test_killed_before_the_pointer_is_written(released_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    change(released_workspace, +0.2)
    with monkeypatch.context() as patch:
        patch.setattr("releases.pointer.Pointer.activate", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            release(released_workspace)
    assert open_pointer().active is None
    outcome = release(released_workspace)
    assert outcome.status == "released" and open_pointer().active == outcome.release


def test_same_inputs_are_unchanged(
    released_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_pointer().file.read_text()
    assert command(monkeypatch) == 0
    assert capsys.readouterr().out.startswith(f"unchanged: {open_pointer().active}")
    assert open_pointer().file.read_text() == before


def test_round_trip(released_workspace: Workspace) -> None:
    loaded = Release.load(open_pointer().path)
    data = TrainingData(released_workspace.marts, "final", recipe("debug"))
    users = OfflineFeatures(data).load_user_batch(
        "recommender", ["00", "07", "unknown_user"], np.full(3, 2_000_000_000_000_000)
    )
    assert set(loaded.channels) == {"popularity", "favorites", "realtime"}
    assert loaded.manifest["collections"] == list(loaded.collection_recallers) == ["playlists", "mlogs"]
    assert loaded.collection_recallers["playlists"].realtime is loaded.channels["realtime"]
    assert loaded.continuation == Continuation.load(released_workspace.folder / "evaluation" / "continuation.json")
    assert {"realtime", "playlist_neighbors", "title_words", "title_playlists"} <= set(loaded.continuation_sources)
    for name, channel in loaded.channels.items():
        fitted = CHANNELS[name].load(released_workspace.model_folder("channel", "final", name), data.vocabulary)
        assert np.array_equal(channel.recall(users, 20), fitted.recall(users, 20))
    fitted_ranker = FittedRanker.load(
        released_workspace.model_folder("ranker", "final", loaded.ranker.name), data.vocabulary
    )
    items = np.tile(np.arange(2, 12), (3, 1))
    for task, probability in fitted_ranker.score(users, items).items():
        assert np.array_equal(loaded.ranker.score(users, items)[task], probability)
    assert loaded.catalog.is_served_V.sum() == data.catalog_V.sum()
    assert loaded.manifest["release"] == open_pointer().active
    assert set(loaded.manifest["models"]["held_out"]) == set(loaded.manifest["models"]["final"])


def test_search_of_the_release_finds_its_tracks(released_workspace: Workspace) -> None:
    served = load_release(open_pointer().path, ServiceContract((), ()))
    assert len(served.search._index) == int(served.catalog.is_served_V.sum())
    (match, *_) = served.search.search("sonng 003", 5, date(2026, 6, 9))
    assert (served.vocabulary.track_ids_V[match.item], match.name_field) == ("003", "title")


def test_manifest_has_the_lineage(released_workspace: Workspace) -> None:
    manifest = json.loads((open_pointer().path / "manifest.json").read_text())
    lineage = manifest["lineage"]
    assert lineage["logs"] == [
        {"landing_id": "l", "format": "play_log", "split": "user_time", "landed": 9, "quarantined": 1}
        | {"landed_at": "2026-06-09T00:00:00+00:00"}
    ]
    assert set(lineage["fitted_at"]) == set(manifest["models"]["final"])
    times = [lineage["marts_published_at"], min(lineage["fitted_at"].values()), manifest["released_at"]]
    assert times == sorted(times)


def test_release_has_no_executable_content(released_workspace: Workspace) -> None:
    kinds = {file.suffix for file in open_pointer().path.rglob("*") if file.is_file()}
    index = {".fast", ".fieldnorm", ".idx", ".pos", ".store", ".term", ".faiss"}
    assert kinds - index <= {".json", ".parquet", ".safetensors", ".npy", ".npz", ".yaml", ".sha256"}
    assert not list(open_pointer().path.rglob("checkpoints"))


def test_better_release_replaces_and_rollback_returns(
    released_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_pointer().active
    change(released_workspace, +0.01)
    second = release(released_workspace)
    assert second.status == "released" and "slate minus production" in second.lines[1]
    assert command(monkeypatch, "rollback") == 0
    assert open_pointer().active == first
    again = release(released_workspace)
    assert again.status == "unchanged" and "rolled back" in again.lines[0] and open_pointer().active == first
    assert release(released_workspace, reason="the incident is over").status == "forced"
    assert open_pointer().active == second.release


def test_worse_than_production_is_refused(
    released_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_pointer().active
    change(released_workspace, -0.05)
    assert command(monkeypatch) == 1
    printed = capsys.readouterr().err
    assert (
        printed.startswith("refused")
        and "FAILS: slate minus production" in printed
        and f"production stays at {before}" in printed
    )
    assert open_pointer().active == before


def test_force_releases_and_manifest_has_the_reason(
    released_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(monkeypatch, "--force", "--reason", "licences changed") == 0
    manifest = json.loads((open_pointer().path / "manifest.json").read_text())
    assert manifest["forced"] == {"reason": "licences changed"}
    assert manifest["gate"]["is_passed"] is False
    page = (load_settings().reports / "evaluation.html").read_text()
    assert re.search(r'<li id="decision" class="loss">[^<]*licences changed', page)
    assert f'<span id="previous">{manifest["gate"]["compared_with"]}</span>' in page


def test_incomplete_release_is_written_again(released_workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "large.parquet").write_bytes(b"x" * 1000)
    whole = model_store.publish(tmp_path, "half", {})
    (whole / "large.parquet").write_bytes(b"x" * 10)
    assert model_store.find_version("half") is None
    assert model_store.publish(tmp_path, "half", {}) == whole
    assert (whole / "large.parquet").stat().st_size == 1000


def test_release_gets_a_share_and_then_all_users(
    released_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = open_pointer().active
    change(released_workspace, +0.02)
    assert command(monkeypatch) == 0
    new = str(open_pointer().active)
    assert new != before and command(monkeypatch, "rollback") == 0
    assert command(monkeypatch, "canary", new, "--share", "0.1") == 0
    assert f"{new} 10.0%, the rest {before}" in capsys.readouterr().out
    (canary,) = traffic_split.read(traffic_split_file()).canaries
    assert open_pointer().active == before and open_pointer().file.parent / canary.path == model_store.find_version(new)
    assert command(monkeypatch, "canary", canary.release, "--share", "0.25") == 0
    assert [entry.share for entry in traffic_split.read(traffic_split_file()).canaries] == [0.25]
    assert command(monkeypatch, "activate", canary.release) == 0
    assert open_pointer().active == canary.release and not traffic_split.read(traffic_split_file()).canaries
    assert command(monkeypatch, "canary", str(before), "--share", "0.5") == 0
    assert command(monkeypatch, "rollback") == 0
    assert open_pointer().active == before and not traffic_split.read(traffic_split_file()).canaries


def test_invalid_calls_are_explained_and_change_nothing(
    released_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    active, other = (
        open_pointer().active,
        next(one for one in model_store.list_versions() if one not in (open_pointer().active, "half")),
    )
    before = open_pointer().file.read_text()
    command(monkeypatch, "canary", other, "--share", "0.7")
    split = traffic_split_file().read_text()
    for message, *arguments in (
        ("'0123' is not in the store or is incomplete; stored releases: ", "activate", "0123"),
        ("'../x' is not in the store", "canary", "../x", "--share", "0.1"),
        ("'latest' is not in the store", "activate", "latest"),
        (f"{active} is already the active release", "canary", str(active), "--share", "0.1"),
        (f"experiment '{other}' is active", "canary", other, "--share", "0.1", "--experiment", "shapes"),
        ("has no share to end", "canary", "0123", "--share", "0"),
    ):
        assert command(monkeypatch, *arguments) == 2
        assert message in capsys.readouterr().err
    assert (open_pointer().file.read_text(), traffic_split_file().read_text()) == (before, split)
    assert command(monkeypatch, "end") == 0
    assert capsys.readouterr().out.startswith(f"ended: experiment {other}: {other} 70.0%")
    assert not traffic_split.read(traffic_split_file()).canaries


@pytest.mark.parametrize(
    ("model", "part"),
    [
        ("channel/popularity", "code"),
        ("channel/favorites", "config"),
        ("collection/playlists", "realtime"),
        ("ranker/sum_pooling", "config"),
    ],
)
def test_final_fit_unlike_the_evaluated_one_is_not_released(
    released_workspace: Workspace, model: str, part: str
) -> None:
    kind, name = model.split("/")
    record = released_workspace.model_folder(kind, "final", name) / INPUTS_FILE
    before = record.read_text()
    try:
        record.write_text(json.dumps(json.loads(before) | {part: "another", "hash": "another"}))
        with pytest.raises(MissingInput, match=f"final fit of {model} differs .*{kind} {name} --fit final` first"):
            release_inputs(released_workspace)
    finally:
        record.write_text(before)


def test_models_that_were_fitted_after_the_evaluation_are_not_released(released_workspace: Workspace) -> None:
    mark_done(released_workspace.model_folder("channel", "held_out", "popularity"), {"hash": "another fit"})
    with pytest.raises(MissingInput, match=r"training\.evaluate"):
        release(released_workspace)


def test_damaged_and_unsigned_releases_are_not_activated(
    released_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    active = open_pointer()
    before, other = active.file.read_text(), "imported"
    shutil.copytree(open_pointer().path, tmp_path / other)
    manifest = json.loads((tmp_path / other / "manifest.json").read_text()) | {"release": other}
    (tmp_path / other / "manifest.json").write_text(json.dumps(manifest))
    path = model_store.publish(tmp_path / other, other, {})
    assert command(monkeypatch, "sign", other) == 2
    assert "SEGUE_RELEASE_PRIVATE_KEY is empty" in capsys.readouterr().err
    private, public = write_keys(tmp_path)
    monkeypatch.setenv("SEGUE_RELEASE_PUBLIC_KEY", str(public))
    for arguments in (("activate", other), ("canary", other, "--share", "0.1")):
        assert command(monkeypatch, *arguments) == 2
        assert "is not signed" in capsys.readouterr().err
    monkeypatch.setenv("SEGUE_RELEASE_PRIVATE_KEY", str(private))
    assert command(monkeypatch, "sign", other) == 0
    assert command(monkeypatch, "canary", other, "--share", "0.1") == 0
    monkeypatch.delenv("SEGUE_RELEASE_PUBLIC_KEY")
    content = (path / "catalog.parquet").read_bytes()
    (path / "catalog.parquet").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for arguments in (("activate", other), ("sign", other)):
        assert command(monkeypatch, *arguments) == 2
        assert "catalog.parquet differs from files.sha256" in capsys.readouterr().err
    assert active.file.read_text() == before
