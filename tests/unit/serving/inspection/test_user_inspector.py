"""Exports of everything that is stored about a user."""

from types import SimpleNamespace
from typing import Any

import pytest

from config.settings import Settings
from serving.errors import NotReady
from serving.inspection import user_inspector
from serving.inspection.stored_data import export_of
from serving.inspection.user_inspector import UserInspector


def test_one_export_runs_at_a_time(monkeypatch: pytest.MonkeyPatch, here: Settings) -> None:
    """Also if the request of a running one was given up, which frees its place in the queue."""
    parts: Any = SimpleNamespace(users=frozenset(), read_views=lambda user_id: {}, log=None)
    inspector = UserInspector(
        here, parts, parts, parts, parts, now_us=lambda: 1, private_session=lambda _: None, stored=lambda _: {}
    )
    stored = export_of("u", {"event_log": []})

    def collect(*_: object) -> Any:
        with pytest.raises(NotReady, match="another export is running"):
            inspector.export_data("other")
        return stored

    monkeypatch.setattr(user_inspector, "collect_stored_data", collect)
    assert inspector.export_data("u") is stored
    assert inspector.export_data("u") is stored
