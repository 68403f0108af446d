"""Values over time: history files of reports, and charts of the console."""

import pytest

from config import settings
from console.history_charts import drift_chart, recall_chart
from console.quality_page import render_quality_page
from console.releases import Release, ReleaseState
from storage.report_history import append_to_history, read_history


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    return settings.load_settings()


def test_a_repeated_day_replaces_its_values_and_days_are_in_order(tmp_path):
    file = tmp_path / "history" / "landed.jsonl"
    assert read_history(file) == []
    append_to_history(file, "2026-07-02", {"action_drift": 0.2})
    append_to_history(file, "2026-07-01", {"action_drift": None})
    append_to_history(file, "2026-07-02", {"action_drift": 0.3})
    assert read_history(file) == [
        {"as_of": "2026-07-01", "action_drift": None},
        {"as_of": "2026-07-02", "action_drift": 0.3},
    ]


def test_a_torn_line_does_not_hide_the_others(tmp_path):
    file = tmp_path / "landed.jsonl"
    append_to_history(file, "2026-07-01", {"action_drift": 0.1})
    file.write_text(file.read_text() + '{"as_of": "2026-07-0\n[1]\n')
    append_to_history(file, "2026-07-03", {"action_drift": 0.2})
    assert [row["as_of"] for row in read_history(file)] == ["2026-07-01", "2026-07-03"]


def test_recall_is_listed_by_time_of_the_release():
    def release(name, released_at, interval):
        manifest = {"released_at": released_at, "gate": {"figures": {"slate": interval} if interval else {}}}
        return Release(name, manifest, ReleaseState(""))

    newest = release("b", "2026-07-02T00:00:00+00:00", [0.5, 0.4, 0.6])
    not_measured = release("c", "2026-07-03T00:00:00+00:00", None)
    chart = recall_chart([newest, not_measured, release("a", "2026-07-01T00:00:00+00:00", [0.3, 0.2, 0.4])])
    assert chart.labels == ["2026-07-01T00:00:00", "2026-07-02T00:00:00"]
    assert chart.values == [[0.3, 0.5], [0.2, 0.4], [0.4, 0.6]]
    assert chart.rows[0] == ("2026-07-02 00:00 UTC", "0.5000", "0.4000", "0.6000")


def test_the_page_of_a_new_home_says_what_will_fill_it(here):
    assert render_quality_page(here).count("No values yet") == 3
    append_to_history(
        here.reports / "history" / "landed.jsonl", "2026-07-01", {"action_drift": 0.1, "volume_ratio": None}
    )
    chart = drift_chart(here)
    assert chart.values == [[0.1], [None], [None]]
    assert chart.rows == [("2026-07-01", "0.1000", "", "")]
    assert "&#34;2026-07-01&#34;" in render_quality_page(here)
