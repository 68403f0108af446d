"""`python3 -I -S local/dependencies/install.py EXTRAS`: install Segue and its locked dependencies into `.venv`.

With uv if it is on the PATH (about a minute), otherwise with pip (some minutes). Either way every archive is compared with
`requirements.hashes.lock`: uv does so itself, pip's report is checked by `verify_archives.py`. Only the standard library is
imported, because nothing else is installed yet.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ENVIRONMENT = Path(".venv")
PYTHON = ENVIRONMENT / "bin" / "python"
LOG = ENVIRONMENT / "install.log"
PIP_REPORT = ENVIRONMENT / "unverified.json"
"""Archives that pip began to install and that are not verified yet; pip writes it before it installs the first one."""
LOCK, HASHES = "requirements.lock", "requirements.hashes.lock"
VERIFY = Path(__file__).with_name("verify_archives.py")
HASH_MISMATCH = "Hash mismatch"  # in uv's message
INTERVAL_S = 1.0
SHOWN_LINES = 20  # of the installer's output after a failure


class InstallError(RuntimeError):
    """An installer failed; the message contains the end of its output."""


def uv_command(uv: str, extras: str) -> list[str]:
    """Command of uv, which verifies the hashes of a constraints file."""
    constraints = ["--constraint", HASHES, "--constraint", LOCK]  # the second has torch, as a range
    return [
        uv,
        "pip",
        "install",
        "--compile-bytecode",
        "--python",
        str(PYTHON),
        *constraints,
        "--editable",
        f".[{extras}]",
    ]


def pip_command(extras: str) -> list[str]:
    """Command of pip, which writes a report of the installed archives."""
    options = ["--disable-pip-version-check", "--constraint", LOCK, "--report", str(PIP_REPORT)]
    return [str(PYTHON), "-m", "pip", "install", *options, "--editable", f".[{extras}]"]


def count_locked(lock: str) -> int:
    """Number of packages in the text of a lock file."""
    return sum("==" in line for line in lock.splitlines())


def count_installed() -> int:
    """Number of packages in `.venv`."""
    return sum(1 for _ in ENVIRONMENT.glob("lib/python*/site-packages/*.dist-info"))


def run(command: Sequence[str], estimate: str) -> None:
    """Run an installer; show the progress every second, in one line that changes or, in a log, a new line.

    Raises:
        InstallError: It failed.
    """
    locked = count_locked(Path(LOCK).read_text(encoding="utf-8"))
    started, is_terminal = time.monotonic(), sys.stderr.isatty()
    prefix, suffix = ("\r", "   ") if is_terminal else ("", "\n")
    with LOG.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
        for elapsed in _ticks(process, started):
            clock = f"{elapsed // 60:02.0f}:{elapsed % 60:02.0f}"
            installed = f"{count_installed()} of about {locked} packages"
            print(f"{prefix}  {installed}, {clock} elapsed, {estimate}{suffix}", end="", file=sys.stderr, flush=True)
    if is_terminal:
        print(file=sys.stderr)
    if process.returncode:
        lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()
        end = "\n".join(lines[-SHOWN_LINES:])
        raise InstallError(f"{' '.join(command[:4])} failed; its output {LOG} ends with:\n{end}")


def _ticks(process: subprocess.Popen[bytes], started: float) -> Iterator[float]:
    while True:
        yield time.monotonic() - started
        try:
            process.wait(INTERVAL_S)
        except subprocess.TimeoutExpired:
            continue
        return


def install(extras: str) -> None:
    """Install Segue with its extras, such as `test,docs`, with uv or pip.

    Raises:
        InstallError: An installer failed, or an archive is not the locked one.
    """
    if PIP_REPORT.exists():  # pip was killed, and installs nothing again that is installed
        _verify()
    if uv := shutil.which("uv"):
        print("Installing requirements.lock into .venv with uv", flush=True)
        try:
            run(uv_command(uv, extras), "usually less than 2 min in total")
        except InstallError as error:
            if HASH_MISMATCH in LOG.read_text(encoding="utf-8", errors="replace"):
                raise
            print(f"{error}\nContinuing with pip", file=sys.stderr)
        else:
            return
    print("Installing requirements.lock into .venv with pip: up to 3 GB. It is faster with uv on the PATH", flush=True)
    try:
        run(pip_command(extras), "usually 2 to 8 min in total")
    except BaseException:
        if PIP_REPORT.exists():
            _verify()
        raise
    _verify()


def _verify() -> None:
    """Compare the archives of pip's report with the lock, and remove `.venv` if one differs."""
    if subprocess.run([sys.executable, "-I", "-S", str(VERIFY), str(PIP_REPORT), HASHES], check=False).returncode:
        shutil.rmtree(ENVIRONMENT)
        raise InstallError(
            f"{ENVIRONMENT} was removed, because the archives named above do not match {HASHES}; run the command again. If the same "
            "archive differs again, do not install it: the package index may have been changed"
        )
    PIP_REPORT.unlink()


def main() -> int:
    """Return 1 if the installation failed."""
    try:
        install(sys.argv[1])
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same command continues.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
