"""Settings of a home of its own for each test of the console."""

import pytest

from config import settings


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    return settings.load_settings()
