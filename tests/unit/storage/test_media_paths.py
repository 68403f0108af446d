"""Landed media paths name exactly the files below the folder that was landed, or an error."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from media.rendered_media import RenderedMedia
from media.track_description import cover_path, write_descriptions
from storage.media_paths import MediaPathError, MediaPaths, MediaRootError, register_root
from tests.support.media_descriptions import described


@pytest.fixture
def music(tmp_path: Path) -> Path:
    (tmp_path / "music" / "album").mkdir(parents=True)
    (tmp_path / "music" / "album" / "1.flac").write_bytes(b"sound")
    return tmp_path / "music"


def test_a_path_is_relative_to_the_landed_folder(tmp_path: Path, music: Path) -> None:
    prefix = register_root(tmp_path / "media", music)
    assert register_root(tmp_path / "media", music) == prefix
    assert register_root(tmp_path / "media", music / "album") != prefix
    assert MediaPaths(tmp_path / "media").resolve(f"{prefix}album/1.flac").read_bytes() == b"sound"


def test_a_path_without_a_root_is_relative_to_the_media_root(tmp_path: Path, music: Path) -> None:
    assert MediaPaths(tmp_path / "media", music).resolve("album/1.flac").read_bytes() == b"sound"
    with pytest.raises(MediaRootError, match="set it to the folder of the media"):
        MediaPaths(tmp_path / "media").resolve("album/1.flac")


def test_extracted_covers_are_below_the_home(tmp_path: Path) -> None:
    assert MediaPaths(tmp_path / "media").resolve("media:covers/ab.jpg") == tmp_path / "media" / "covers" / "ab.jpg"


@pytest.mark.parametrize("path", ["../music2/1.flac", "/etc/passwd", "album/../../x", "album//1.flac", "", "a\0b"])
def test_other_paths_are_errors(tmp_path: Path, music: Path, path: str) -> None:
    paths = MediaPaths(tmp_path / "media", music)
    for prefix in ("", register_root(tmp_path / "media", music), "media:"):
        with pytest.raises(MediaPathError):
            paths.resolve(prefix + path)


def test_links_out_of_the_folder_are_errors(tmp_path: Path, music: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (music / "file.flac").symlink_to(tmp_path / "secret")
    (music / "folder").symlink_to(tmp_path)
    (music / "inside.flac").symlink_to(music / "album" / "1.flac")
    paths = MediaPaths(tmp_path / "media", music)
    for path in ("file.flac", "folder/secret"):
        with pytest.raises(MediaPathError, match="symbolic link"):
            paths.resolve(path)
    assert paths.resolve("inside.flac").read_bytes() == b"sound"


def replace_by_a_copy(_: Path, music: Path) -> None:
    music.rename(music.with_name("moved"))
    shutil.copytree(music.with_name("moved"), music)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda roots, _: roots.unlink(), "land its source again", id="another home"),
        pytest.param(lambda roots, _: roots.write_text("{"), "is damaged", id="damaged"),
        pytest.param(lambda _, music: music.rename(music.with_name("m")), "is not there; land it again", id="moved"),
        pytest.param(replace_by_a_copy, "not the folder that was landed", id="copied"),
    ],
)
def test_another_folder_than_the_landed_one_is_an_error(
    tmp_path: Path, music: Path, change: Callable[[Path, Path], object], message: str
) -> None:
    path = f"{register_root(tmp_path / 'media', music)}album/1.flac"
    change(tmp_path / "media" / "roots.json", music)
    with pytest.raises(MediaRootError, match=message):
        MediaPaths(tmp_path / "media").resolve(path)


def test_the_oldest_rendered_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.rendered_media.MAX_FILES", 5)
    write_descriptions({f"t{number}": described(album=f"l{number}") for number in range(8)}, tmp_path)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".killed.jpg.1.writing").write_bytes(b"half")
    media = RenderedMedia(tmp_path, tmp_path / "cache")
    files = [media.find(cover_path(f"t{number}")) for number in range(8)]
    assert sorted((tmp_path / "cache").iterdir()) == sorted(file for file in files[3:] if file is not None)


@pytest.mark.parametrize("content", [b"", b"PAR1 cut off PAR1", None], ids=["empty", "cut off", "other columns"])
def test_damaged_descriptions_are_named(tmp_path: Path, content: bytes | None) -> None:
    write_descriptions({"t1": described()}, tmp_path)
    file = tmp_path / "media" / "descriptions.parquet"
    if content is None:
        pl.DataFrame({"track_id": ["t1"]}).write_parquet(file)
    else:
        file.write_bytes(content)
    prefix = register_root(tmp_path / "home", tmp_path)
    with pytest.raises(MediaRootError, match=r"descriptions.parquet is damaged .*simulate and land it again"):
        MediaPaths(tmp_path / "home").resolve(prefix + cover_path("t1"))
