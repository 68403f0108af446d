"""Activating and rolling back."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.release.pointer import NothingToRollBack, Pointer


@pytest.fixture
def pointer(tmp_path: Path) -> Pointer:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    return Pointer(tmp_path / "active.json")


def activate(pointer: Pointer, *names: str) -> None:
    for name in names:
        pointer.activate(name, pointer.file.parent / name)


def test_before_the_first_release_nothing_is_active(pointer: Pointer) -> None:
    assert pointer.active is None and pointer.path is None
    with pytest.raises(NothingToRollBack, match=r"training\.release"):
        pointer.rollback()


def test_rollback_goes_one_back_and_then_one_more(pointer: Pointer) -> None:
    activate(pointer, "one", "two", "three")
    assert pointer.rollback() == "two"
    assert pointer.active == "two" and pointer.path == pointer.file.parent / "two"
    assert pointer.rollback() == "one"
    with pytest.raises(NothingToRollBack):
        pointer.rollback()
    assert pointer.active == "one"


def test_history_says_what_was_in_service_and_why_it_left(pointer: Pointer) -> None:
    activate(pointer, "one", "two")
    pointer.rollback()
    content = pointer.read()
    assert content is not None
    assert [(row["release"], row["why"]) for row in content["history"]] == [("one", "replaced"), ("two", "rollback")]


def test_a_release_that_was_rolled_back_is_known_until_it_serves_again(pointer: Pointer) -> None:
    activate(pointer, "one", "two")
    pointer.rollback()
    assert pointer.was_rolled_back("two") and not pointer.was_rolled_back("one")
    activate(pointer, "two", "three")
    assert not pointer.was_rolled_back("two")


def test_activating_the_active_release_changes_nothing(pointer: Pointer) -> None:
    activate(pointer, "one")
    before = pointer.file.read_text()
    activate(pointer, "one")
    assert pointer.file.read_text() == before


def test_a_release_that_is_gone_is_not_returned_to(pointer: Pointer) -> None:
    activate(pointer, "one", "two")
    (pointer.file.parent / "one").rmdir()
    with pytest.raises(NothingToRollBack, match="gone"):
        pointer.rollback()
    assert pointer.active == "two"
