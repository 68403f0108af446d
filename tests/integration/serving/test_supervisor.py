"""The supervisor of a really running service: who can control it, and how its workers end."""

import os
from pathlib import Path

import psutil
import pytest

from config import settings
from local.environment import environment
from serving.supervisor import FOLDER, PREFIX, create_folder
from tests.support import recommender_service
from tests.support.ports import free_port

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture
def place(tmp_path):
    here = settings.Settings(home=tmp_path, recommender_port=free_port())
    return recommender_service.Place(tmp_path, here.recommender_port, environment(here))


def test_no_other_user_controls_the_supervisor(place):
    with recommender_service.started(place) as service:
        members = service.process.members()
        paths = {one.laddr for one in psutil.Process(service.process.pid).net_connections("unix") if one.laddr}
        worker = next(member for member in members if FOLDER in member.environ())
        folder = Path(worker.environ()[FOLDER])
        assert {f"{folder}/control", f"{folder}/events"} <= paths
        assert {str(path) for path in paths if Path(path).parent.stat().st_mode & 0o077} == set()
    assert not folder.exists()


def test_folders_of_killed_supervisors_are_removed(tmp_path):
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "target", target_is_directory=True)
    (tmp_path / "target").mkdir()
    if not (child := os.fork()):
        create_folder(tmp_path)
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 2
    folders = {create_folder(tmp_path) for _ in range(2)}
    assert set(tmp_path.glob(f"{PREFIX}*")) == {*folders, tmp_path / f"{PREFIX}link"}
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}
    assert (tmp_path / "target").exists()
