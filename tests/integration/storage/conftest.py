"""One S3 server per session; an empty bucket and home per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from config import settings
from tests.support import object_storage


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, str]]:
    with object_storage.running() as environment:
        yield environment


@pytest.fixture
def here(server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    """Settings of an empty home with tables in an empty bucket."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    bucket = tmp_path.name.replace("_", "-").lower()
    S3FileSystem().mkdir(bucket)
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEGUE_TABLES", f"s3://{bucket}/tables")
    return settings.load_settings()
