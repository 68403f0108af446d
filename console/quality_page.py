"""Pages of the quality by day: what moved, skips, and each mart against the week before: rows, freshness, null rates, distributions.

Marts come from `reports/data_quality.json`, which their validation writes, with the results of the expectations.

What landing made of the tracks of several sources: matches, conflicts, and sounds that are not recommended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from config.settings import Settings
from console.charts import Chart, read_plays_by_day, skip_rate_chart, sparkline
from console.movements import WEEK_DAYS, find_movements, mean
from console.page_parts import render, report_links
from console.releases import read_json
from content.music_detection import find_other_sounds, find_unheard
from storage import mart_tables, object_store

OPEN_COLUMNS = 3  # columns whose distribution is shown without a click

Profile = Mapping[str, Any]


MAX_TRACKS = 100
"""Listed tracks of a kind; their number is given in any case."""


def render_quality_page(settings: Settings) -> str:
    """Page with what moved by day, skips, one row per mart, and what landing made of tracks."""
    profile, verdicts, plays = read_profile(settings), _read_verdicts(settings), read_plays_by_day(settings)
    return render(
        "quality.html",
        movements=find_movements(settings, plays, profile),
        chart=skip_rate_chart(plays),
        profile=profile,
        tables=[
            _summarize(table, profile, verdicts.get(table["name"])) for table in profile["tables"] if table["days"]
        ],
        empty=[table["name"] for table in profile["tables"] if not table["days"]],
        tracks=read_track_tables(settings),
        reports=report_links(settings, "landed", "marts", "skew"),
    )


def render_table_page(name: str, settings: Settings) -> str | None:
    """Page of one mart; None if it was not profiled, or has no rows."""
    profile = read_profile(settings)
    tables = [table for table in profile["tables"] if table["name"] == name and table["days"]]
    if not tables:
        return None
    table, verdicts = tables[0], _read_verdicts(settings)
    columns = sorted(table["columns"], key=lambda column: -(column["week_drift"] or 0.0))
    return render(
        "quality_table.html",
        table=table,
        as_of=profile["as_of"],
        max_drift=profile["max_drift"],
        summary=_summarize(table, profile, verdicts.get(name)),
        chart=_row_chart(table),
        columns=[
            {
                **column,
                "null_rate": column["null_rates"][-1],
                "null_rate_before": mean(column["null_rates"][-1 - WEEK_DAYS : -1]),
                "spark": sparkline(column["drift"], profile["max_drift"]),
                "is_open": number < OPEN_COLUMNS,
                "largest": max((max(newest, before) for _, newest, before in column["bins"]), default=1.0),
            }
            for number, column in enumerate(columns)
        ],
    )


def read_profile(settings: Settings) -> Profile:
    """Content of `data_quality.json`; without tables if it is missing or malformed."""
    content = read_json(settings.reports / "data_quality.json")
    is_whole = isinstance(content.get("tables"), list) and content.get("max_drift")
    return content if is_whole else {"tables": []}


def _summarize(table: Profile, profile: Profile, verdict: tuple[int, int] | None) -> dict[str, Any]:
    counts, as_of = table["row_counts"], datetime.fromisoformat(profile["as_of"])
    # Batch features of a day have the time of the next midnight, so the last day may be `as_of`, without rows of its own.
    before = mean(counts[-1 - WEEK_DAYS : -1])
    drifts = [column["week_drift"] or 0.0 for column in table["columns"]]
    return {
        "name": table["name"],
        "rows": table["rows"],
        "newest_at": table["newest_at"],
        "hours": max((as_of - datetime.fromisoformat(table["newest_at"])).total_seconds() / 3600, 0.0),
        "newest_rows": counts[-1],
        "change": None if not before else counts[-1] / before - 1,
        "spark": sparkline(counts),
        "moved": sum(drift > profile["max_drift"] for drift in drifts),
        "columns": len(drifts),
        "largest_drift": max(drifts, default=0.0),
        "verdict": verdict,
    }


def _row_chart(table: Profile) -> Chart:
    counts = table["row_counts"]
    means = [None if day < WEEK_DAYS else mean(counts[day - WEEK_DAYS : day]) for day in range(len(counts))]
    note = "rows by day, and their mean over the seven days before"
    return Chart("Rows", note, "", ("rows", "mean of the week before"), table["days"], [counts, means])


def _read_verdicts(settings: Settings) -> dict[str, tuple[int, int]]:
    """Mart → failed and all expectations."""
    content = read_json(settings.reports / "data_docs" / "marts" / "outcome.json")
    checks = {suite["suite"]: [check["is_passed"] for check in suite["checks"]] for suite in content.get("suites", ())}
    return {mart: (passed.count(False), len(passed)) for mart, passed in checks.items()}


def read_track_tables(settings: Settings) -> dict[str, tuple[int, list[tuple[Any, ...]]]]:
    """Tables of landed tracks → number of their rows, and the first ones: how tracks of several sources were `matched`,
    `conflicts`, `sounds` that are not music, and `unheard` files.
    """
    marts = object_store.fetch_marts(settings)
    if not (marts / "track_aliases.parquet").exists():
        return {}
    titles = pl.scan_parquet(marts / "tracks.parquet").select("track_id", pl.col("title").fill_null("")).collect()
    matched = pl.read_parquet(marts / "track_aliases.parquet").group_by("matched_by").len().sort("matched_by")
    conflicts = pl.read_parquet(marts / "track_conflicts.parquet").join(titles, on="track_id", how="left")
    tables = {"matched": matched, "conflicts": conflicts.select("conflict", "title", "track_id", "other_id").sort("*")}
    audio = mart_tables.table_file(marts, "audio")
    if audio.exists():
        sounds = find_other_sounds(audio).join(titles, on="track_id", how="left").sort("music_probability", "track_id")
        tables["sounds"] = sounds.select("title", "track_id", pl.col("music_probability").cast(pl.Float64).round(2))
        tracks, plays = pl.read_parquet(marts / "tracks.parquet"), pl.scan_parquet(marts / "plays.parquet")
        tables["unheard"] = titles.filter(pl.col("track_id").is_in(find_unheard(tracks, audio, plays)))
    return {name: (rows.height, rows.head(MAX_TRACKS).rows()) for name, rows in tables.items()}
