"""Base images of the Dockerfile and the compose file: local, pulled, or built from Debian's packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

from config.settings import ROOT
from tests.support.compose_project import podman

STAND_INS = {"python": "bookworm", "redis": "bookworm", "postgres": "trixie", "prometheus": "trixie", "nginx": "trixie"}
"""Folder in `containers/` → release of Debian that it starts from."""

PULL_TIMEOUT_S = 300


def names() -> list[str]:
    """Names of the images that are not built from this repository."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    texts = [service["image"] for service in services if "build" not in service]
    texts += re.findall(r"^ARG PYTHON_IMAGE=.*", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return [re.sub(r"^.*(?::-|=)|\}$", "", text) for text in texts]


def missing_images() -> list[str]:
    """Base images that are not available after pulling and building what can be."""
    missing = [name for name in names() if not _exists(name) and not _pull(name)]
    if missing and shutil.which("mmdebstrap"):
        for name in missing:
            _build_stand_in(name)
    return [name for name in missing if not _exists(name)]


def build_mounts() -> list[str]:
    """Options of `podman build` that give pip the package index, certificates and wheels of this machine."""
    home = Path.home()
    paths = [Path("/etc/pip.conf"), Path("/etc/xdg/pip"), home / ".pip", home / ".config" / "pip"]
    paths += [Path(os.environ[name]) for name in ("PIP_CERT", "PIP_FIND_LINKS") if os.environ.get(name)]
    return [option for path in paths if path.exists() for option in ("--volume", f"{path}:{path}:ro")]


def _full_name(name: str) -> str:
    return f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"


def _exists(name: str) -> bool:
    return subprocess.run(["podman", "image", "exists", _full_name(name)], check=False).returncode == 0


def _pull(name: str) -> bool:
    command = ["podman", "pull", "--quiet", "--retry", "0", _full_name(name)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PULL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _build_stand_in(name: str) -> None:
    folder = name.split(":", maxsplit=1)[0].rsplit("/", maxsplit=1)[-1]
    if folder not in STAND_INS:
        return
    suite = STAND_INS[folder]
    if subprocess.run(["podman", "image", "exists", f"localhost/{suite}"], check=False).returncode:
        with tempfile.TemporaryDirectory() as temporary:
            archive = f"{temporary}/{suite}.tar"
            # Certificates are part of it, because a build that mounts the host's certificates cannot install the package.
            options = ["--variant=minbase", "--mode=root", "--include=ca-certificates"]
            subprocess.run(["mmdebstrap", *options, suite, archive], check=True, capture_output=True)
            podman("import", archive, f"localhost/{suite}")
    context = str(Path(__file__).parent / "containers" / folder)
    podman("build", "--network", "host", *build_mounts(), "--tag", _full_name(name), context, timeout_s=1800)
