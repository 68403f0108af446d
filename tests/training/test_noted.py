"""What the registry says is asked once, and again when it was written anew."""

import pytest

import settings
from training.noted import NOTE, REGISTRY, noted


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    folder = settings.load().feast
    folder.mkdir(parents=True)
    return folder


def test_a_note_is_of_one_registry(folder):
    (folder / REGISTRY).write_bytes(b"first")
    assert noted(lambda: {"service": [["view"], []]}) == {"service": [["view"], []]}
    assert noted(lambda: pytest.fail("it was noted")) == {"service": [["view"], []]}
    (folder / REGISTRY).write_bytes(b"second")
    assert noted(lambda: {"service": [["other"], []]}) == {"service": [["other"], []]}
    assert [path.name for path in folder.iterdir() if path.name.startswith(NOTE)] == [NOTE]


def test_without_a_registry_nothing_is_asked_and_nothing_noted(folder):
    assert noted(lambda: pytest.fail("there is no registry")) == {}
    assert list(folder.iterdir()) == []
