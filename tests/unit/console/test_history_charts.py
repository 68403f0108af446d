"""Values over time: history files of reports, and charts of the console."""

from storage.daily_files import append_to_history, read_history


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
