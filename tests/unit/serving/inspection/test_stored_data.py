"""Export of what is stored about a user: rows of this user, at most so many of a store."""

import json

from serving.inspection import stored_data
from serving.inspection.stored_data import collect_stored_data
from tests.support.log_sources import json_lines

ME, OTHER = "ü 1", "ü 11"


def test_an_unknown_user_has_nothing_and_large_stores_are_cut(here, monkeypatch):
    lines = [json.dumps({"request_id": f"r{number}", "user_id": user}) for number, user in enumerate([ME, OTHER, ME])]
    torn = '{"user_id": "\u00fc 1", "torn'
    json_lines(here.feature_log / "dt=2026-07-01" / "requests-1-1.jsonl", [*lines, " " * 20, torn])
    assert collect_stored_data("unknown", here, {}, {}).stores == {}
    monkeypatch.setattr(stored_data, "MAX_ROWS", 1)
    data = collect_stored_data(ME, here, {}, {})
    assert data.cut == ["feature_log"] and len(data.stores["feature_log"]) == 1
