"""Values over time: history files of reports."""

from storage.report_history import append_to_history, read_history


def test_days_are_in_order_each_once_and_torn_lines_hide_no_others(tmp_path):
    file = tmp_path / "history" / "landed.jsonl"
    assert read_history(file) == []
    append_to_history(file, "2026-07-02", {"action_drift": 0.2})
    file.write_text(file.read_text() + '{"as_of": "2026-07-0\n[1]\n')
    append_to_history(file, "2026-07-01", {"action_drift": None})
    append_to_history(file, "2026-07-02", {"action_drift": 0.3})
    assert read_history(file) == [
        {"as_of": "2026-07-01", "action_drift": None},
        {"as_of": "2026-07-02", "action_drift": 0.3},
    ]
