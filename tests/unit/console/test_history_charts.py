"""Values over time: history files of reports, and charts of the console."""

from console.history_charts import drift_chart
from console.quality_page import render_quality_page
from storage.report_history import append_to_history, read_history


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


def test_the_page_of_a_new_home_says_what_will_fill_it(here):
    assert render_quality_page(here).count("No values yet") == 3
    append_to_history(
        here.reports / "history" / "landed.jsonl", "2026-07-01", {"action_drift": 0.1, "volume_ratio": None}
    )
    chart = drift_chart(here)
    assert chart.values == [[0.1], [None], [None]]
    assert chart.rows == [("2026-07-01", "0.1000", "", "")]
    assert "&#34;2026-07-01&#34;" in render_quality_page(here)
