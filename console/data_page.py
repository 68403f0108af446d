"""Page about data and models: landings, published marts, the online store, trained models.

Reads file names, sizes and landing records only; no data of users.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from config.settings import Settings
from console.releases import read_json
from console.templates import render
from storage import content_tables, object_store
from training.content.music_detection import find_other_sounds, find_unheard
from web.time_format import format_utc_minute

MAX_REASONS = 30
MAX_REASON_CHARACTERS = 120
DIGITS = re.compile(r"\d+")
TIMES = re.compile(r"\d{4}-\d\d-\d\d[\d :.T+Z-]*")
MAX_TRACKS = 100
"""Listed tracks of a kind; their number is given in any case."""
LANDING_COLUMNS = ("landed_at", "source", "format", "read", "landed", "duplicate", "quarantined", "landing_id")


def render_data_page(settings: Settings) -> str:
    """HTML page; parts without content name the command that generates them."""
    return render(
        "data.html",
        landings=_landings(settings),
        tracks=_track_tables(settings),
        quarantine=(quarantine := _quarantine(settings)),
        quarantine_rows=[(table, reason, f"{rows:,}") for table, reason, rows in quarantine],
        quarantine_folder=settings.quarantine if settings.tables_url else "SEGUE_HOME/quarantine",
        marts=_marts(settings),
        features=_features(settings),
        models=_models(settings),
    )


def _landings(settings: Settings) -> list[dict[str, Any]]:
    files = [str(file) for file in object_store.list_files(settings.landing / "landings", "dt=*/*.parquet")]
    if not files:
        return []
    columns = ", ".join(LANDING_COLUMNS).replace("landed_at", "strftime(landed_at::timestamp, '%Y-%m-%dT%H:%M')", 1)
    with object_store.connect_duckdb(settings.landing) as connection:
        query = f"select {columns} from read_parquet(?) order by landed_at"  # noqa: S608
        rows = connection.execute(query, [files]).fetchall()
    return [dict(zip(LANDING_COLUMNS, row, strict=True)) for row in rows]


def _track_tables(settings: Settings) -> dict[str, tuple[int, list[tuple[Any, ...]]]]:
    """Tables of landed tracks → number of their rows, and the first ones: how tracks of several sources were `matched`,
    `conflicts`, `sounds` that are not music, and `unheard` files.
    """
    marts = object_store.fetch_marts(settings, are_changes_applied=False)
    if not (marts / "track_aliases.parquet").exists():
        return {}
    titles = pl.scan_parquet(marts / "tracks.parquet").select("track_id", pl.col("title").fill_null("")).collect()
    matched = pl.read_parquet(marts / "track_aliases.parquet").group_by("matched_by").len().sort("matched_by")
    conflicts = pl.read_parquet(marts / "track_conflicts.parquet").join(titles, on="track_id", how="left")
    tables = {"matched": matched, "conflicts": conflicts.select("conflict", "title", "track_id", "other_id").sort("*")}
    audio = content_tables.table_file(marts, "audio")
    if audio.exists():
        sounds = find_other_sounds(audio).join(titles, on="track_id", how="left").sort("music_probability", "track_id")
        tables["sounds"] = sounds.select("title", "track_id", pl.col("music_probability").round(2))
        tracks, plays = pl.read_parquet(marts / "tracks.parquet"), pl.scan_parquet(marts / "plays.parquet")
        tables["unheard"] = titles.filter(pl.col("track_id").is_in(find_unheard(tracks, audio, plays)))
    return {name: (rows.height, rows.head(MAX_TRACKS).rows()) for name, rows in tables.items()}


def _quarantine(settings: Settings) -> list[tuple[str, str, int]]:
    """(table, reason without rejected values, rows) of quarantined rows, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for file in object_store.list_files(settings.quarantine, "*/dt=*/*.parquet"):
        table = pq.ParquetFile(object_store.open_arrow_source(file))
        for batch in table.iter_batches(columns=["reason"]):
            counts.update((file.parts[-3], describe_reason(str(reason))) for reason in batch.column(0).to_pylist())
    return [(table, reason, rows) for (table, reason), rows in counts.most_common(MAX_REASONS)]


def describe_reason(reason: str) -> str:
    """A reason without the rejected value, which may be personal: `played_ms -7 is negative` becomes `played_ms … is negative`."""
    column, _, rest = reason.partition(" ")
    value, verb, tail = rest.rpartition(" is ")
    if not verb:
        return DIGITS.sub("…", reason) if len(reason) <= MAX_REASON_CHARACTERS else f"{column} …"
    return f"{column} …{verb}{TIMES.sub('…', tail)}" if value else reason


def _marts(settings: Settings) -> list[dict[str, Any]]:
    return [
        {
            "name": file.stem,
            "rows": pq.read_metadata(file).num_rows,
            "bytes": file.stat().st_size,
            "published_at": _modified_at(file),
        }
        for file in sorted(object_store.fetch_marts(settings, are_changes_applied=False).glob("*.parquet"))
    ]


def _features(settings: Settings) -> list[tuple[str, str]]:
    files = (
        ("entities, views and services registered", settings.feast / "registry.db"),
        ("newest features written to the online store", settings.feast / f"materialized-{settings.online_store}.db"),
    )
    return [(description, format_utc_minute(_modified_at(file))) for description, file in files if file.exists()]


def _models(settings: Settings) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for file in sorted(settings.training.glob("*/*/*/*/inputs.json")):
        workspace, fit, kind, name = file.parts[-5:-1]
        seconds = read_json(file.with_name("measures.json")).get("total_seconds")
        duration = "" if seconds is None else f"{seconds:,.0f} s"
        model = f"{kind.removesuffix('s')} {name}"
        rows.append((workspace, model, fit.replace("_", " "), duration, format_utc_minute(_modified_at(file))))
    return rows


def _modified_at(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat()
