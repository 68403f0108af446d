"""`local/install.sh`: what uv and pip are called with, and the remedy if they fail."""

import subprocess

import pytest

from config.settings import ROOT
from storage.files import atomic_write

PIP = """#!/bin/sh
echo "pip $* index=$PIP_INDEX_URL" >> calls
[ "$3" != config ] || echo "global.extra-index-url='https://extra/simple'
global.index-url='$PIP_CONF_INDEX'" | grep -v "''"
"""
UV = '#!/bin/sh\necho "uv $* index=$UV_DEFAULT_INDEX" >> calls\nexit ${UV_FAILS:-0}\n'
MIRROR = "https://mirror.invalid/simple"


@pytest.fixture
def install(tmp_path):
    """Function that runs the script with recording programs instead of Python and uv; returns the process and the calls."""
    for name, text in (("python", PIP), ("uv", UV)):
        atomic_write(tmp_path / ".venv" / "bin" / name, text, mode=0o755)
    for name in ("pyproject.toml", "uv.lock"):
        (tmp_path / name).write_text((ROOT / name).read_text())

    def run(**variables):
        command = ["sh", str(ROOT / "local" / "install.sh"), "test", "spark"]
        environment = {"PATH": "/usr/bin:/bin", **variables}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done, (tmp_path / "calls").read_text().splitlines()

    return run


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_CONF_INDEX"])
def test_behind_a_mirror_the_exported_lock_is_installed_from_it(install, tmp_path, name):
    done, calls = install(**{name: MIRROR})
    assert done.returncode == 0, done.stderr
    pinned, *hashes = (tmp_path / ".venv" / "uv.txt").read_text().splitlines()
    assert pinned.startswith("uv==") and len(hashes) > 5
    assert all(line.startswith("    --hash=sha256:") for line in hashes)
    export, installation = [call for call in calls if call.startswith("uv ")]
    assert export.startswith("uv export --quiet --locked --offline --default-index https://pypi.org/simple")
    assert installation.startswith("uv pip install --no-deps") and installation.endswith(f"index={MIRROR}")
    assert calls[-1].endswith(f"torch>=2.8,<2.14 index={MIRROR}")


def test_the_remedy_is_named_if_an_index_is_not_reached(install):
    done, calls = install(UV_FAILS="2")
    assert done.returncode == 2
    assert "UV_DEFAULT_INDEX=URL make setup" in done.stderr
    assert calls[-1].startswith("uv ")
