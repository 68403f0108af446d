"""The registry is read once, and again after it has changed."""

import pytest

from training.data.offline_features import REGISTRY_CACHE_FILE, REGISTRY_FILE, read_cached_registry


@pytest.fixture
def folder(here):
    here.feast.mkdir(parents=True)
    return here.feast


def test_cache_is_valid_for_one_registry(folder):
    (folder / REGISTRY_FILE).write_bytes(b"first")
    assert read_cached_registry(lambda: {"service": [["view"], []]}) == {"service": [["view"], []]}
    assert read_cached_registry(lambda: pytest.fail("the result is cached")) == {"service": [["view"], []]}
    (folder / REGISTRY_FILE).write_bytes(b"second")
    assert read_cached_registry(lambda: {"service": [["other"], []]}) == {"service": [["other"], []]}
    assert [path.name for path in folder.iterdir() if path.name.startswith(REGISTRY_CACHE_FILE)] == [
        REGISTRY_CACHE_FILE
    ]


def test_missing_registry_is_neither_read_nor_cached(folder):
    assert read_cached_registry(lambda: pytest.fail("there is no registry")) == {}
    assert list(folder.iterdir()) == []
