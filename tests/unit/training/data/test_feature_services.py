"""What the registry says is asked once, and again when it was written anew."""

import pytest

from config import settings
from training.data.feature_services import REGISTRY_CACHE_FILE, REGISTRY_FILE, read_cached_registry


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    folder = settings.load_settings().feast
    folder.mkdir(parents=True)
    return folder


def test_a_note_is_of_one_registry(folder):
    (folder / REGISTRY_FILE).write_bytes(b"first")
    assert read_cached_registry(lambda: {"service": [["view"], []]}) == {"service": [["view"], []]}
    assert read_cached_registry(lambda: pytest.fail("it was noted")) == {"service": [["view"], []]}
    (folder / REGISTRY_FILE).write_bytes(b"second")
    assert read_cached_registry(lambda: {"service": [["other"], []]}) == {"service": [["other"], []]}
    assert [path.name for path in folder.iterdir() if path.name.startswith(REGISTRY_CACHE_FILE)] == [
        REGISTRY_CACHE_FILE
    ]


def test_without_a_registry_nothing_is_asked_and_nothing_noted(folder):
    assert read_cached_registry(lambda: pytest.fail("there is no registry")) == {}
    assert list(folder.iterdir()) == []
