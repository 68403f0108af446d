"""The table of warm and cold fits."""

from __future__ import annotations

from training.ablations.warm_start import DayResult, render


def test_table_leaves_the_first_day_out_and_pairs_days() -> None:
    def result(day: int, cold: float, warm: float) -> DayResult:
        seconds = {"cold": 100.0, "warm": 100.0 if day == 1 else 40.0}
        return DayResult(f"2026-06-{day:02d}", "realtime", seconds, {"cold": cold, "warm": warm})

    page = render([result(1, 9.0, 9.0), result(2, 0.50, 0.51), result(3, 0.60, 0.61), result(4, 0.70, 0.71)], "small")
    assert "3 days after a cold one" in page
    (row,) = [line for line in page.splitlines() if line.startswith("| realtime")]
    assert row == "| realtime | 100.0 | 40.0 | 0.40 | 0.6000 | 0.6100 | +0.0100 (+0.0100 to +0.0100) |"
