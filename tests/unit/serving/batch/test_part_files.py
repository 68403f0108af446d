"""Files of a resumable run."""

import shutil
from unittest import mock

import pytest

from serving.batch.export import SUCCESS_FILE, PartFolder


def test_a_start_that_ends_while_it_removes_a_finished_run_leaves_no_success(tmp_path, monkeypatch):
    PartFolder(tmp_path, ["lists"], {"limit": 4}, at_us=1).finish()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", mock.Mock(side_effect=KeyboardInterrupt))
        PartFolder(tmp_path, ["lists"], {"limit": 4}, at_us=2)
    assert not (tmp_path / SUCCESS_FILE).exists()
    assert not PartFolder(tmp_path, ["lists"], {"limit": 4}, at_us=3).is_continued
