"""What the line has made of data, as one page: landings, published marts, the online store, what was trained.

Reads file names, sizes and the few columns that say what was landed; nothing of any listener.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from config.settings import Settings
from console.style import INDEX_LINK, format_datetime, render_page, render_table
from storage import object_store


def render_data_page(settings: Settings) -> str:
    """The page; a part that is not there yet says what makes it."""
    parts = (
        ("landings", "Landed logs", _landings(settings)),
        ("marts", "Published marts", _marts(settings)),
        ("features", "Features for serving", _features(settings)),
        ("models", "Trained models", _models(settings)),
    )
    nothing = '<p class="soft">Not made yet: <code>make run</code>.</p>'
    body = "".join(f'<h2 id="{anchor}">{title}</h2>{found or nothing}' for anchor, title, found in parts)
    return render_page("What the line has made", f"{INDEX_LINK}<h1>What the line has made</h1>{body}")


def _landings(settings: Settings) -> str:
    files = [str(file) for file in object_store.list_files(settings.landing / "landings", "dt=*/*.parquet")]
    if not files:
        return ""
    columns = "landed_at::timestamp::varchar, source, format, read, landed, duplicate, quarantined, landing_id"
    with object_store.connect_duckdb(settings.landing) as connection:
        query = f"select {columns} from read_parquet(?) order by landed_at"  # noqa: S608 - the columns above
        found = connection.execute(query, [files]).fetchall()
    rows = [
        [format_datetime(at[:16].replace(" ", "T")), escape(source), escape(reader)]
        + [f"{count:,}" for count in counts]
        + [f"<code>{escape(landing_id[:12])}</code>"]
        for at, source, reader, *counts, landing_id in found
    ]
    heads = ["landed", "source", "format", "read", "landed", "duplicate", "quarantined", "id"]
    return render_table(heads, rows, (3, 4, 5, 6)) + _quarantine(settings) if rows else ""


def _quarantine(settings: Settings) -> str:
    """Rows of each table; not the reasons, which quote what stood there."""
    import pyarrow.parquet as pq

    counts: dict[str, int] = {}
    for file in object_store.list_files(settings.quarantine, "*/dt=*/*.parquet"):
        counts[file.parts[-3]] = (
            counts.get(file.parts[-3], 0) + pq.read_metadata(object_store.open_arrow_source(file)).num_rows
        )
    told = ", ".join(f"{count:,} of {escape(name)}" for name, count in counts.items())
    place = settings.quarantine if settings.tables_url else "SEGUE_HOME/quarantine"
    where = f"<code>{escape(str(place))}</code> has source line and reason of each"
    return f"<p>In quarantine: {told}; {where}.</p>" if told else "<p>Nothing is in quarantine.</p>"


def _marts(settings: Settings) -> str:
    import pyarrow.parquet as pq

    rows = [
        [
            f"<code>{escape(file.stem)}</code>",
            f"{pq.read_metadata(file).num_rows:,}",
            f"{file.stat().st_size / 1e3:,.0f} KB",
            _format_modified_time(file),
        ]
        for file in sorted(object_store.fetch_marts(settings).glob("*.parquet"))
    ]
    return render_table(["mart", "rows", "size", "published"], rows, (1, 2)) if rows else ""


def _features(settings: Settings) -> str:
    rows = [
        [what, _format_modified_time(file)]
        for what, file in (
            ("entities, views and services registered", settings.feast / "registry.db"),
            (
                "newest features written to the online store",
                settings.feast / f"materialized-{settings.online_store}.db",
            ),
        )
        if file.exists()
    ]
    return render_table(["", "last"], rows) if rows else ""


def _models(settings: Settings) -> str:
    rows = []
    for file in sorted(settings.training.glob("*/*/*/*/inputs.json")):
        workspace, fit, kind, name = file.parts[-5:-1]
        measures = _load_measures(file.with_name("measures.json"))
        seconds = measures.get("total_seconds")
        rows.append(
            [
                escape(workspace),
                escape(f"{kind.removesuffix('s')} {name}"),
                escape(fit.replace("_", " ")),
                "" if seconds is None else f"{seconds:,.0f} s",
                _format_modified_time(file),
            ]
        )
    return render_table(["as of, recipe", "model", "fit", "took", "finished"], rows, (3,)) if rows else ""


def _load_measures(file: Path) -> dict[str, float]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _format_modified_time(file: Path) -> str:
    return format_datetime(datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat())
