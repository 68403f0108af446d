"""Descriptions survive the file, and random numbers depend on seed, purpose and key alone."""

from __future__ import annotations

from pathlib import Path

from media.track_description import Descriptions, description_time, write_descriptions
from tests.support.media_descriptions import described


def test_written_descriptions_are_found_by_track(tmp_path: Path) -> None:
    written = {
        "t1": described(),
        "t2": described(title="Lantern", emotions=()),
        "t3": described(emotions=("sad", "quiet")),
    }
    assert description_time(tmp_path) is None
    write_descriptions(written, tmp_path)
    assert description_time(tmp_path)
    read = Descriptions(tmp_path)
    assert {track_id: read.find(track_id) for track_id in written} == written
    assert read.find("t4") is None and read.find("") is None
