"""Pages of the data quality: marts by drift, and landed tracks with matches, conflicts and audio that is not music."""

import polars as pl
import pytest

from console.quality_page import render_quality_page, render_table_page

TABLES = {
    "tracks": {"track_id": ["f1", "l2", "f3"], "title": ["One", None, "Whale <b>"]},
    "track_aliases": {"alias_id": ["l1", "l0"], "track_id": ["f1", "f1"], "matched_by": ["name", "name"]},
    "track_conflicts": {"track_id": ["l2"], "other_id": ["f2"], "conflict": ["length"]},
    "track_content_audio": {"track_id": ["f1", "f3"], "music_probability": [0.9, 0.254]},
}


def test_columns_of_a_mart_are_sorted_by_their_drift(reported):
    page = render_table_page("events", reported)
    assert page.index('<a href="#action">') < page.index('<a href="#scene">')


@pytest.mark.parametrize("name", ["exposures", "unknown", "../x"])
def test_marts_without_rows_have_no_page(reported, name):
    assert render_table_page(name, reported) is None


def test_page_counts_matches_and_lists_conflicts_and_other_sounds(reported):
    for name, columns in TABLES.items():
        pl.DataFrame(columns).write_parquet(reported.marts / f"{name}.parquet", mkdir=True)
    page = " ".join(render_quality_page(reported).split())
    assert '<td>name</td><td class="number">2</td>' in page
    assert "<td>length</td><td></td><td>l2</td><td>f2</td>" in page
    assert '<td>Whale &lt;b&gt;</td><td>f3</td><td class="number">0.25</td>' in page
