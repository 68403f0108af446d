"""Limits of sources: expansion of compressed files, symbolic links, names that are not UTF-8."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from ingestion import source_files
from ingestion.land import land
from ingestion.source_files import RATIO_GRACE_BYTES, SourceError
from tests.support.log_sources import event, json_lines, landed

RATIO = 40
BOMB_BYTES = RATIO * RATIO_GRACE_BYTES * 2
BOMBS = {
    "listening_events.jsonl.gz": json.dumps(event(1)).encode() + b" " * BOMB_BYTES,
    "events.csv.gz": b"user_id,ts,track_id,artist_id,ms_played\n" + b"7,1600000000,1,1,5000\n" * (BOMB_BYTES // 22),
}


@pytest.fixture(autouse=True)
def _small_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb of 5 MB instead of 26."""
    monkeypatch.setattr(source_files, "MAX_COMPRESSION_RATIO", RATIO)


@pytest.mark.parametrize("name", BOMBS)
def test_a_gzip_bomb_is_an_error_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    bomb = tmp_path / name
    bomb.write_bytes(gzip.compress(BOMBS[name]))
    with pytest.raises(SourceError, match=rf"{name} unpacks to more than 2 MB from [\d,]+ bytes"):
        land(bomb, tmp_path / "home")


def test_an_xz_bomb_in_a_dump_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.listens").write_bytes(json.dumps({"track_metadata": {}}).encode() + b" " * BOMB_BYTES)
    with tarfile.open(tmp_path / "listenbrainz-listens-dump.tar.xz", "w:xz", preset=0) as archive:
        archive.add(tmp_path / "1.listens", "listens/2020/1.listens")
    with pytest.raises(SourceError, match=r"dump\.tar\.xz unpacks to more than"):
        land(tmp_path / "listenbrainz-listens-dump.tar.xz", tmp_path / "home")


@pytest.mark.parametrize("is_file", [True, False])
def test_a_link_out_of_the_source_is_an_error(tmp_path: Path, is_file: bool) -> None:
    outside = json_lines(tmp_path / "private" / "listening_events.jsonl", [event(1)])
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "link").symlink_to(outside if is_file else outside.parent)
    with pytest.raises(SourceError, match=r"link is a symbolic link to .*/private.*; copy the file"):
        land(tmp_path / "log", tmp_path / "home")


def test_links_within_the_source_and_a_linked_source_are_read(tmp_path: Path) -> None:
    json_lines(tmp_path / "log" / "listening_events" / "a.jsonl", [event(1)])
    (tmp_path / "log" / "listening_events" / "b.jsonl").symlink_to("a.jsonl")
    (tmp_path / "linked").symlink_to(tmp_path / "log")
    counts = land(tmp_path / "linked", tmp_path / "home")["own_events"]
    assert (counts.landed, counts.duplicate) == (1, 1)


def test_a_file_name_that_is_not_utf8_is_printed_with_the_code_of_its_bytes(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        json_lines(folder / "listening_events" / (os.fsdecode(b"\xe9") + ".jsonl"), [event(1), "torn"])
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    land(folder, tmp_path / "home")
    assert landed(tmp_path / "home", "landings")["source"].item() == "caf\\udce9"
    assert [member.name for member in source_files.list_members(folder)] == ["listening_events/\\udce9.jsonl"]
