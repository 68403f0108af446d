"""Golden data: hashes depend on the rows only, and differences are named."""

from pathlib import Path

import polars as pl
import pytest

from research.golden import comparable, find_differences, hash_marts, print_differences


def test_hashes_of_marts_depend_on_rows_and_not_on_files(tmp_path: Path) -> None:
    rows = pl.DataFrame({"track_id": ["a", "b", None], "plays": [1, 2, 3]})
    for folder, files in (("one", [rows]), ("two", [rows[2:], rows[:2]]), ("other", [rows.with_columns(plays=1)])):
        for number, part in enumerate(files):
            (tmp_path / folder / "tracks.parquet").mkdir(parents=True, exist_ok=True)
            part.write_parquet(tmp_path / folder / "tracks.parquet" / f"{number}.parquet", compression_level=number + 1)
    one, two, other = (hash_marts(tmp_path / folder) for folder in ("one", "two", "other"))
    assert one == two and one["tracks"]["number of rows"] == "3"
    assert [line.partition(":")[0] for line in find_differences(one, other)] == [
        "tracks / all columns",
        "tracks / plays",
    ]


def test_differences_are_named_up_to_the_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {"responses": {"daily u1": {"request_id": "x", "items": [{"track_id": "a", "score": 0.1}]}}}
    same = {"responses": {"daily u1": {"request_id": "y", "items": [{"track_id": "a", "score": 0.1 + 1e-12}]}}}
    after = {"responses": {"daily u1": {"items": [{"track_id": "b", "score": 0.1}]}}}
    assert print_differences(comparable(before), comparable(same), tmp_path) == 0
    assert print_differences(comparable(before), comparable(after), tmp_path) == 1
    assert "daily u1 / items / 0 / track_id: a -> b" in capsys.readouterr().out
