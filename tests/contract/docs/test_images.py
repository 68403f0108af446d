"""The pictures in the documentation: each that `make screenshots` takes, small, and shown somewhere."""

import re

import pytest

from config import settings
from tests.support.screenshots import FOLDER, SHOTS

MOST_BYTES = 150_000
SHOWN = [*settings.ROOT.glob("*.md"), *(settings.ROOT / "docs").glob("*.md"), settings.ROOT / "serving" / "README.md"]


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_a_picture_is_there_and_small(shot):
    assert 0 < (FOLDER / f"{shot.name}.webp").stat().st_size < MOST_BYTES


def test_every_picture_is_one_that_is_taken_and_is_shown():
    names = {file.name for file in FOLDER.iterdir()}
    assert names == {f"{shot.name}.webp" for shot in SHOTS}
    shown = set(re.findall(r"!\[[^\]]+\]\((?:docs/)?images/([^)]+)\)", "\n".join(page.read_text() for page in SHOWN)))
    assert shown == names
