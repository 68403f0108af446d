"""Pointer to the active release: activation, rollback, format check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from releases.format import FORMAT, OutdatedFormat
from releases.pointer import MANIFEST, STORE_FOLDER, NothingToRollBack, Pointer, check_format


@pytest.fixture
def pointer(tmp_path: Path) -> Pointer:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    return Pointer(tmp_path / "active.json")


def activate(pointer: Pointer, *names: str) -> None:
    for name in names:
        pointer.activate(name, pointer.file.parent / name)


@pytest.mark.parametrize(
    ("steps", "active", "targets", "rolled_back"),
    [
        pytest.param(["one", "two", "rollback"], "one", [], ["two"], id="a rolled back release is remembered"),
        pytest.param(
            ["one", "two", "rollback", "two", "three"], "three", ["two", "one"], [], id="until it is activated again"
        ),
        pytest.param(
            ["one", "two", "rollback", "two", "three", "rollback", "rollback"],
            "one",
            [],
            ["two", "three"],
            id="two rollbacks",
        ),
    ],
)
def test_rollback_returns_to_what_was_not_rolled_back(
    pointer: Pointer, steps: list[str], active: str, targets: list[str], rolled_back: list[str]
) -> None:
    for step in steps:
        pointer.rollback() if step == "rollback" else activate(pointer, step)
    assert (pointer.active, pointer.rollback_targets()) == (active, targets)
    assert [name for name in ("one", "two", "three") if pointer.was_rolled_back(name)] == rolled_back


def test_activating_the_active_release_changes_nothing(pointer: Pointer) -> None:
    activate(pointer, "one")
    before = pointer.file.read_text()
    activate(pointer, "one")
    assert pointer.file.read_text() == before


def test_missing_release_is_not_activated_by_rollback(pointer: Pointer) -> None:
    activate(pointer, "one", "two")
    (pointer.file.parent / "one").rmdir()
    with pytest.raises(NothingToRollBack, match="no longer in"):
        pointer.rollback()
    assert pointer.active == "two"


@pytest.mark.parametrize("manifest", [{"release": "0123"}, {"release": "0123", "format": FORMAT + 1}])
def test_release_of_another_version_is_refused_with_the_remedy(tmp_path: Path, manifest: dict[str, object]) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(
        OutdatedFormat, match=rf"release 0123 in .* has format {manifest.get('format', 1)}, .*local\.migrate"
    ):
        check_format(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"format": FORMAT}))
    check_format(tmp_path)


def test_copied_home_refers_to_its_own_releases(tmp_path: Path) -> None:
    original = tmp_path / "original"
    for name in ("one", "two"):
        (original / STORE_FOLDER / name).mkdir(parents=True)
        Pointer(original / "active.json").activate(name, original / STORE_FOLDER / name)
    shutil.copytree(original, tmp_path / "copy")
    pointer = Pointer(tmp_path / "copy" / "active.json")
    assert pointer.path == tmp_path / "copy" / STORE_FOLDER / "two"
    assert pointer.previous() == ("one", tmp_path / "copy" / STORE_FOLDER / "one")
    assert Pointer(original / "active.json").path == original / STORE_FOLDER / "two"
