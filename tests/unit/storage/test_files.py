"""A file that is replaced is the old one or the new one, also after an error, and its draft does not stay."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from storage.files import atomic_write, open_draft


@pytest.mark.parametrize("is_contended", [False, True])
@pytest.mark.parametrize("is_durable", [False, True])
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, is_durable: bool, is_contended: bool) -> None:
    file = tmp_path / "folder" / "file.json"
    atomic_write(file, "ä", is_durable=is_durable, is_contended=is_contended)
    with pytest.raises(OSError, match="disk full"), open_draft(file, is_contended=is_contended) as draft:
        draft.write_text("half")
        raise OSError("disk full")
    assert file.read_bytes() == "ä".encode()
    assert list(file.parent.iterdir()) == [file]


def test_the_draft_of_a_killed_writer_does_not_stay(tmp_path: Path) -> None:
    atomic_write(tmp_path / ".ids.json.writing", "a longer draft", mode=0o600)
    atomic_write(tmp_path / "ids.json", b"[]", mode=0o600)
    (file,) = tmp_path.iterdir()
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("[]", 0o600)
