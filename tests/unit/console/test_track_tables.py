"""Landed tracks on the page Quality: matches, conflicts, audio that is not music."""

from pathlib import Path
from typing import Any

import polars as pl

from config.settings import Settings
from console.quality_page import render_quality_page


def test_page_counts_matches_and_lists_conflicts_and_other_sounds(tmp_path: Path) -> None:
    here = Settings(home=tmp_path)
    here.marts.mkdir()
    tables: dict[str, dict[str, list[Any]]] = {
        "tracks": {"track_id": ["f1", "l2", "f3"], "title": ["One", None, "Whale <b>"]},
        "track_aliases": {"alias_id": ["l1", "l0"], "track_id": ["f1", "f1"], "matched_by": ["name", "name"]},
        "track_conflicts": {"track_id": ["l2"], "other_id": ["f2"], "conflict": ["length"]},
        "track_content_audio": {"track_id": ["f1", "f3"], "music_probability": [0.9, 0.254]},
    }
    for name, columns in tables.items():
        pl.DataFrame(columns).write_parquet(here.marts / f"{name}.parquet")
    page = " ".join(render_quality_page(here).split())
    assert '<td>name</td><td class="number">2</td>' in page
    assert "<td>length</td><td></td><td>l2</td><td>f2</td>" in page
    assert '<td>Whale &lt;b&gt;</td><td>f3</td><td class="number">0.25</td>' in page
