"""The pictures in the documentation: each that `make screenshots` takes, of the size it says, small, and shown somewhere."""

import re
import struct

import pytest

from config import settings
from tests.support.screenshots import FOLDER, SHOTS

MOST_BYTES = 150_000
SHOWN = [*settings.ROOT.glob("*.md"), *(settings.ROOT / "docs").glob("*.md"), settings.ROOT / "serving" / "README.md"]


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of a WebP file, lossy or not."""
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    if data[12:16] == b"VP8X":
        return tuple(int.from_bytes(data[place : place + 3], "little") + 1 for place in (24, 27))
    assert data[12:16] == b"VP8 "
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_a_picture_is_there_small_and_as_large_as_it_says(shot):
    data = (FOLDER / f"{shot.name}.webp").read_bytes()
    assert size_of(data) == shot.size
    assert len(data) < MOST_BYTES


def test_every_picture_is_one_that_is_taken_and_is_shown():
    names = {file.name for file in FOLDER.iterdir()}
    assert names == {f"{shot.name}.webp" for shot in SHOTS}
    shown = set(re.findall(r"!\[[^\]]+\]\((?:docs/)?images/([^)]+)\)", "\n".join(page.read_text() for page in SHOWN)))
    assert shown == names
