"""Installation of the locked packages: uv, or pip without it, with progress, and other archives are rejected."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import ROOT
from local.dependencies import install

LOCK = "# comment\nsix==1.17.0\ntorch>=2.13,<2.14\nidna==3\n"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Function that writes an installer with a shell script's body, in a tree with a lock and an empty environment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    (tmp_path / install.LOCK).write_text(LOCK)
    (tmp_path / install.HASHES).write_text(f"six==1.17.0 \\\n    --hash=sha256:{'a' * 64}\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(
        shutil, "which", lambda name: str(found) if (found := tmp_path / "tools" / name).exists() else None
    )

    def write(path, body):
        (tmp_path / path).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / path).chmod(0o755)

    return write


def report(sha256):
    archive = {"archive_info": {"hashes": {"sha256": sha256}}}
    return json.dumps({"install": [{"metadata": {"name": "six", "version": "1.17.0"}, "download_info": archive}]})


def test_uv_gets_the_hashes_and_pip_is_not_used(checkout):
    checkout("tools/uv", 'echo "$@" > arguments')
    checkout(".venv/bin/python", "touch pip_was_used")
    install.install("test,spark")
    arguments = Path("arguments").read_text().split()
    assert arguments[:2] == ["pip", "install"]
    assert arguments[5:9] == ["--constraint", "requirements.hashes.lock", "--constraint", "requirements.lock"]
    assert arguments[-1] == ".[test,spark]"
    assert not Path("pip_was_used").exists()


def test_a_hash_mismatch_of_uv_does_not_continue_with_pip(checkout):
    checkout("tools/uv", "echo 'Hash mismatch for `six==1.17.0`' >&2; exit 1")
    checkout(".venv/bin/python", "touch pip_was_used")
    with pytest.raises(install.InstallError, match="Hash mismatch for `six"):
        install.install("test")
    assert not Path("pip_was_used").exists()


def test_pip_is_used_where_uv_cannot_reach_its_index(checkout, capsys):
    checkout("tools/uv", "echo 'error: dns error' >&2; exit 2")
    checkout(".venv/bin/python", f"echo '{report('a' * 64)}' > {install.PIP_REPORT}")
    install.install("test")
    captured = capsys.readouterr()
    assert "dns error" in captured.err
    assert "Continuing with pip" in captured.err


@pytest.mark.parametrize("sha256", ["a" * 64, "b" * 64])
def test_archives_that_pip_installed_are_compared_with_the_lock(checkout, sha256):
    checkout(".venv/bin/python", f"echo '{report(sha256)}' > {install.PIP_REPORT}")
    if sha256[0] == "a":
        install.install("test")
    else:
        with pytest.raises(install.InstallError, match="was removed"):
            install.install("test")
    assert Path(".venv").exists() == (sha256[0] == "a")


def test_archives_of_an_installation_that_failed_are_compared(checkout):
    checkout(".venv/bin/python", f"echo '{report('b' * 64)}' > {install.PIP_REPORT}; exit 1")
    with pytest.raises(install.InstallError, match="was removed"):
        install.install("test")
    assert not Path(".venv").exists()


@pytest.mark.parametrize("sha256", ["a" * 64, "b" * 64])
def test_archives_of_an_installation_that_was_killed_are_compared_before_they_are_used(checkout, sha256):
    install.PIP_REPORT.write_text(report(sha256))
    second = f"echo '{json.dumps({'install': []})}' > {install.PIP_REPORT}; touch pip_was_used"
    checkout(".venv/bin/python", second)
    if sha256[0] == "a":
        install.install("test")
    else:
        with pytest.raises(install.InstallError, match="was removed"):
            install.install("test")
    assert Path(".venv").exists() == Path("pip_was_used").exists() == (sha256[0] == "a")


def test_an_installation_that_failed_before_it_installed_anything_continues(checkout):
    checkout(".venv/bin/python", "echo 'no network'; exit 1")
    with pytest.raises(install.InstallError, match="no network"):
        install.install("test")
    assert Path(".venv").exists()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_printed_until_the_installer_ends(checkout, monkeypatch, is_terminal):
    monkeypatch.setattr(install, "INTERVAL_S", 0.01)
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    package = ".venv/lib/python3.11/site-packages/six-1.17.0.dist-info"
    checkout("tools/uv", f"while [ ! -e go ]; do :; done; mkdir -p {package}; while [ ! -e end ]; do :; done")
    written = screen.write

    def write(text):
        if "0 of about 2" in text:
            Path("go").touch()
        if "1 of about 2" in text:
            Path("end").touch()
        return written(text)

    monkeypatch.setattr(screen, "write", write)
    install.install("test")
    assert "00:00 elapsed, usually less than 2 min in total" in screen.getvalue()
    assert ("\r" in screen.getvalue()) == is_terminal


def test_the_command_runs_without_installed_packages(tmp_path):
    script = ROOT / "local" / "dependencies" / "install.py"
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / install.LOCK).write_text(LOCK)
    (tmp_path / ".venv" / "bin" / "python").write_text("#!/bin/sh\necho no network\nexit 1\n")
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), "test"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"} if not Path("/usr/bin/uv").exists() else {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no network" in done.stderr
