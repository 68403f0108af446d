"""Environments of their own for libraries that Segue is compared with and does not need.

Each sees the packages of ours, so that torch is there once. They lie below SEGUE_HOME/peers.
"""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from pathlib import Path

from config import settings

RECHUB = ("torch-rechub==0.9.0",)


def ensure_environment(*packages: str) -> Path:
    """The interpreter that has these packages beside ours, installed when they are not there yet.

    Raises:
        RuntimeError: they cannot be installed; the message has the installer's own words.
    """
    place = settings.load_settings().home / "peers" / "_".join(package.replace("==", "-") for package in packages)
    python = place / "bin" / "python"
    if not (place / "installed").exists():
        venv.create(place, with_pip=True, clear=True)
        own = sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)})
        (Path(own) / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", *packages]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"{', '.join(packages)} cannot be installed into {place}; is a package index within reach? {done.stderr[-2000:]}"
            )
        (place / "installed").touch()
    return python
