"""ListenBrainz reader on handmade dumps in every archive format, and on an account export.

The fields are those that the ListenBrainz server writes: the dump of listens (`Listen.to_json` with `timestamp`, later
`listened_at`), the export of an account (`listens/YEAR/MONTH.jsonl`, `feedback.jsonl`, `user.json`) and the documented
JSON of a listen (`listened_at` is the start of the playback, seconds, UTC).
"""

from __future__ import annotations

import io
import json
import lzma
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.land import land
from ingestion.readers.parsing.named_plays import name_id
from tests.support.log_sources import at, json_lines, landed, landed_events, quarantined

ORDER = ("user_id", "sequence_number", "ended_at")
DUMP = "listenbrainz-listens-dump-1234-20240115-000003-full"
RICK = {
    "recording_mbid": "98255a8c-017a-4bc7-8dd6-1fa36124572b",
    "artist_mbids": ["db92a151-1ac2-438b-bc43-b82e149ddd50"],
}


def listen(at: int, title: str, artist: str = "Rick Astley", **columns: Any) -> dict[str, Any]:
    """A listen of a dump; `info` is the additional information of the client."""
    metadata = {
        "artist_name": artist,
        "track_name": title,
        "release_name": "Whenever",
        "additional_info": columns.pop("info", {}),
    }
    return {
        "user_id": 7,
        "user_name": "anna",
        "timestamp": at,
        "track_metadata": metadata,
        "recording_msid": title,
    } | columns


LISTENS = {
    2005: [listen(1_104_537_600, "Never", info=RICK), listen(1_104_537_700, "Never"), "{torn"],
    2006: [
        listen(1_136_073_600, "Inizgam", "Mdou Moctar", user_id=8, user_name="ben"),
        listen("yesterday", "Never"),
        listen(1_136_073_900, ""),
        {"listened_at": 1_136_080_000, "track_metadata": {"artist_name": "A", "track_name": "B"}},
        listen(86_400, "Never"),
    ],
}


def as_folder(folder: Path) -> Path:
    for year, rows in LISTENS.items():
        json_lines(folder / DUMP / "listens" / str(year) / "1.listens", rows)
    (folder / DUMP / "COPYING").write_text("CC0")
    return folder


def as_tar(folder: Path, ending: str) -> Path:
    """The dump as published."""
    folder.mkdir()
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.add(as_folder(folder.with_name("unpacked")) / DUMP, DUMP)
    file = folder / f"{DUMP}{ending}"
    compress = {".tar": bytes, ".tar.xz": lzma.compress, ".tar.zst": partial(pa.compress, codec="zstd", asbytes=True)}
    file.write_bytes(compress[ending](held.getvalue()))
    return folder


def export(path: Path) -> Path:
    """Account export as a zip."""
    mapped = {**RICK, "recording_name": "Never"}
    metadata = [
        listen(0, title)["track_metadata"] | {"recording_msid": msid}
        for title, msid in (("Never", "m1"), ("Other", "m2"))
    ]
    rows = [
        {"listened_at": 1_104_537_600.0, "track_metadata": metadata[0] | {"mbid_mapping": mapped}},
        {"listened_at": 1_104_538_600, "track_metadata": metadata[1] | {"mbid_mapping": None}},
    ]
    feedback = [
        {"recording_msid": None, "recording_mbid": RICK["recording_mbid"], "score": 1, "created": 1_200_000_000},
        {"recording_msid": "m2", "recording_mbid": None, "score": -1, "created": 1_200_000_001},
        {"recording_msid": "m9", "recording_mbid": None, "score": 1, "created": 1_200_000_002},
        {"recording_msid": "m2", "recording_mbid": None, "score": 5, "created": 1_200_000_003},
    ]
    files = {
        "user.json": [{"user_id": 7, "username": "anna"}],
        "listens/2005/1.jsonl": rows,
        "feedback.jsonl": feedback,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, given in files.items():
            archive.writestr(name, "".join(json.dumps(row) + "\n" for row in given))
        archive.writestr("pinned_recording.jsonl", "{}\n")
    return path


@pytest.mark.parametrize("ending", ["folder", ".tar", ".tar.xz", ".tar.zst"])
def test_every_archive_format_of_a_dump_gives_the_same_events(tmp_path: Path, ending: str) -> None:
    source = as_folder(tmp_path / "dump") if ending == "folder" else as_tar(tmp_path / "dump", ending)
    land(source, tmp_path / "home")
    of_names = name_id("Rick Astley", "Never"), name_id("Mdou Moctar", "Inizgam")  # the client sent no id
    assert landed_events(tmp_path / "home", *ORDER) == [
        ("7", RICK["recording_mbid"], at("2005-01-01"), at("2005-01-01T00:01:40"), "play", 100_000),
        ("7", of_names[0], at("2005-01-01T00:01:40"), at("2005-01-01T00:05:40"), "play", 240_000),
        ("8", of_names[1], at("2006-01-01"), at("2006-01-01T00:04"), "play", 240_000),
    ]
    tracks = landed(tmp_path / "home", "tracks")
    assert tracks.height == 3 and tracks["recording_id"].n_unique() == 2
    assert {"Rick Astley", "Mdou Moctar"} <= set(landed(tmp_path / "home", "artists")["name"])
    broken = quarantined(tmp_path / "home").sort("source", "source_line")
    assert broken["source_line"].to_list() == [3, 2, 3, 4, 5]
    expected = ["the line is not JSON", '"yesterday" is not a number', "no track", "user is missing", "is before 1990"]
    assert all(part in reason for part, reason in zip(expected, broken["reason"], strict=True)), broken["reason"]
    everything = b"".join(file.read_bytes() for file in (tmp_path / "home" / "landing").rglob("*.parquet"))
    assert b"anna" not in everything, "names of users are not landed"


def test_export_has_the_user_id_of_the_dump_and_feedback_by_recording_or_message_id(tmp_path: Path) -> None:
    counts = land(export(tmp_path / "listenbrainz_anna_1705300000.zip"), tmp_path / "home")["listenbrainz"]
    never, other, like, dislike = landed_events(tmp_path / "home", *ORDER)
    assert never[:3] == ("7", RICK["recording_mbid"], at("2005-01-01")) and other[0] == "7"
    assert like[1:] == (never[1], at("2008-01-10T21:20"), at("2008-01-10T21:20"), "like", None)
    assert dislike[1] == other[1] and dislike[4] == "dislike"
    reasons = quarantined(tmp_path / "home").sort("source_line")["reason"].to_list()
    assert counts.quarantined == 2 and "no track" in reasons[0] and "score 5 is neither 1 nor -1" in reasons[1]
