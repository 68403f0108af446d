"""Content is encoded once per content and version, also after a kill, and broken files never stop a run."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
import pytest

from content.encoders.text import TextEncoder
from content.vector_cache import VectorCache
from media.track_description import cover_path, write_descriptions
from tests.support.media_descriptions import described
from tests.support.training.content_home import ContentHome, FakeEncoder
from training import encode_content as encode_module

ENCODE_AND_BE_KILLED = """
import sys
from pathlib import Path
from tests.support.training import content_home
content_home.encode_module.ENCODERS = {"image": content_home.FakeEncoder}
content_home.FakeEncoder.may_kill = True
content_home.encode_module.BATCH_SIZE = {"image": 2}
home = content_home.ContentHome.__new__(content_home.ContentHome)
home.home = Path(sys.argv[1])
home.encode()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContentHome:
    monkeypatch.setenv("SEGUE_HOME", "")  # restores the variable that ContentHome sets
    monkeypatch.setattr(encode_module, "ENCODERS", {"image": FakeEncoder})
    monkeypatch.setattr(encode_module, "BATCH_SIZE", {"image": 2})
    monkeypatch.setattr(FakeEncoder, "version", "fake.1")
    return ContentHome(tmp_path)


def test_a_second_run_encodes_only_what_is_new_or_changed(home: ContentHome) -> None:
    covers = {name: home.write(f"{name}.png", name.encode()) for name in "abc"}
    home.write_tracks(covers)
    home.encode()
    assert home.encode().encoded == 0 and FakeEncoder.loaded == []
    covers |= {"a": home.write("a.png", b"changed"), "d": home.write("d.png", b"new"), "e": home.write("e.png", b"c")}
    del covers["b"]
    home.write_tracks(covers)
    counts = home.encode()
    assert (counts.encoded, counts.with_vector) == (2, 4) and FakeEncoder.loaded == ["a.png", "d.png"]
    assert home.table()["embedding"].to_list() == [list(b"chan"), list(b"c   "), list(b"new "), list(b"c   ")]


def test_broken_files_are_listed_and_not_read_again_until_they_change(home: ContentHome) -> None:
    covers = {"a": home.write("a.png", b"bad"), "b": home.write("b.png", b"good"), "c": home.write("c.png", b"")}
    covers |= {"d": f"{home.prefix}missing.png", "e": f"{home.prefix}../home/x.png"}
    (home.media / "out.png").symlink_to("/etc/hostname")
    (home.media / "loop.png").symlink_to("loop.png")
    covers |= {name: f"{home.prefix}{name}.png" for name in ("out", "loop", "long" * 70)}
    home.write_tracks(covers)
    counts = home.encode()
    assert (counts.encoded, counts.with_vector, counts.remaining, counts.rejected) == (1, 1, 0, 7)
    reasons = dict(line.split("\t", 1) for line in home.quarantine())
    expected = {
        "a": "a bad file",
        "c": "the file is empty",
        "missing": "No such file",
        "loop": "loop of symbolic links",
        "../home/x": "not a path within its root",
        "out": "symbolic link",
        "long" * 70: "name too long",
    }
    found = {name: text for name, text in expected.items() if text in reasons[f"{home.prefix}{name}.png"]}
    assert found == expected, reasons
    home.encode()
    assert FakeEncoder.loaded == []
    home.write("a.png", b"repaired")
    home.write("missing.png", b"here")
    counts = home.encode()
    assert (FakeEncoder.loaded, counts.with_vector, counts.rejected) == (["a.png", "missing.png"], 3, 5)
    home.write("b.png", b"bad now")
    assert home.encode().with_vector == 2


def test_a_file_of_terabytes_is_not_read(home: ContentHome) -> None:
    landed = home.write("sparse.png", b"x")
    os.truncate(home.media / "sparse.png", 1 << 41)
    home.write_tracks({"a": landed})
    assert home.encode().rejected == 1 and "media files have at most" in home.quarantine()[0]


def test_a_run_in_the_background_leaves_the_table_to_the_next_run(home: ContentHome) -> None:
    home.write_tracks({name: home.write(f"{name}.png", name.encode()) for name in "abc"})
    home.encode(limit=1)
    assert encode_module.main(["--encoder", "image", "--cache-only"]) == 0
    assert home.table()["track_id"].to_list() == ["a"]
    counts = home.encode()
    assert (counts.encoded, counts.with_vector, home.table().height) == (0, 3, 3)


def test_a_killed_run_continues_after_the_last_batch(home: ContentHome) -> None:
    covers = {name: home.write(f"{name}.png", name.encode()) for name in "abcde"}
    covers["d"] = home.write("d.png", b"kill")
    home.write_tracks(covers)
    command = [sys.executable, "-c", ENCODE_AND_BE_KILLED, str(home.home)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    assert not (home.home / "marts" / "track_content_image.parquet").exists()
    with closing(sqlite3.connect(home.home / "content" / "image.sqlite")) as database:
        attempts = database.execute("select path, attempts from attempts order by path").fetchall()
    assert attempts == [(f"{home.prefix}d.png", 1)], "c was decoded"
    home.write("d.png", b"fine")
    counts = home.encode()
    assert FakeEncoder.loaded == ["c.png", "d.png", "e.png"], "a and b were stored"
    assert counts.with_vector == 5


def test_a_file_that_crashes_the_decoder_is_rejected(home: ContentHome) -> None:
    path = home.write("a.png", b"kill")
    home.write_tracks({"a": path, "b": home.write("b.png", b"good")})
    home.encode(limit=0)  # reads the files without decoding them
    with closing(VectorCache(home.home / "content" / "image.sqlite", "fake.1")) as cache:
        assert [cache.begin_attempt(path) for _ in range(4)] == [True, True, True, False]
    home.encode()
    assert home.table()["track_id"].to_list() == ["b"]
    assert home.quarantine() == [f"{home.prefix}a.png\tdecoding it crashed the process several times"]


def test_tracks_of_a_moved_folder_keep_their_vectors_and_the_reason_is_reported(home: ContentHome) -> None:
    home.write_tracks({"a": home.write("a.png", b"a")})
    home.encode()
    home.media.rename(home.media.with_name("moved"))
    counts = home.encode()
    assert (counts.with_vector, counts.rejected) == (1, 0)
    ((reason, tracks),) = counts.unavailable.items()
    assert "land it again" in reason and tracks == 1


def test_simulated_media_are_rendered_only_to_be_encoded(home: ContentHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("content.content_sources.BLOCK_FILES", 2)
    tracks = [f"t{number}" for number in range(6)]
    write_descriptions({track: described(artist=track, album=track) for track in tracks}, home.media)
    home.write_tracks({track: home.prefix + cover_path(track) for track in tracks})
    rendered = home.home / "media" / "rendered"
    assert home.encode(limit=1).encoded == 1
    assert len(list(rendered.iterdir())) == 2
    assert home.encode().encoded == 5
    table = home.table()
    assert table["content_hash"].n_unique() == len(table) == 6
    shutil.rmtree(rendered)
    assert home.encode().encoded == 0
    assert not rendered.exists()
    assert home.table().equals(table)
    write_descriptions({track: described(artist=track, album="other") for track in tracks}, home.media)
    assert home.encode().encoded == 6


def test_a_text_is_encoded_again_if_it_changes_but_not_for_comments_after_validation(
    home: ContentHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(title: str, *comments: tuple[str, datetime]) -> None:
        home.write_tracks(
            {"a": None, "empty": None}, title=[title, None], artist_names=[["X", None], []], styles=[["folk"], []]
        )
        pl.DataFrame(
            [("a", text, at) for text, at in comments], schema=["track_id", "text", "occurred_at"], orient="row"
        ).write_parquet(home.home / "marts" / "track_comments.parquet")

    pl.DataFrame({"validation_from": [datetime(2026, 1, 1)]}).write_parquet(home.home / "marts" / "time_split.parquet")
    encode = mock.Mock(side_effect=lambda batch: np.zeros((len(batch), 2), np.float32))
    monkeypatch.setattr(TextEncoder, "__init__", lambda self: setattr(self, "version", "fake"))
    monkeypatch.setattr(TextEncoder, "encode", encode)
    monkeypatch.setattr(encode_module, "ENCODERS", {"text": TextEncoder})
    monkeypatch.setattr(encode_module, "BATCH_SIZE", {"text": 2})
    early, late = ("early", datetime(2025, 12, 31)), ("late", datetime(2026, 1, 1))
    write("One", early, late)
    counts = encode_module.encode(home.settings, "text")
    encode.assert_called_once_with([("One", "X", "early", "folk")])
    assert (counts.with_vector, counts.remaining) == (1, 0)
    write("One", early, ("other", datetime(2026, 1, 2)))
    assert encode_module.encode(home.settings, "text").encoded == 0
    write("Two", early)
    encode_module.encode(home.settings, "text")
    encode.assert_called_with([("Two", "X", "early", "folk")])
