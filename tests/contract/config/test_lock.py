"""uv.lock: names public hosts only, and has torch without the packages of CUDA."""

import re
import tomllib
from importlib.metadata import requires

from packaging.requirements import Requirement

from config import settings

LOCK = (settings.ROOT / "uv.lock").read_text()


def test_the_lock_names_public_hosts_only() -> None:
    assert set(re.findall(r"\w+://[^/\"]+", LOCK)) == {"https://pypi.org", "https://files.pythonhosted.org"}


def test_torch_is_locked_with_what_its_cpu_build_requires() -> None:
    (torch,) = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())["tool"]["uv"]["dependency-metadata"]
    needed = [line for line in requires("torch") or () if ";" not in line and not re.match("nvidia|cuda|triton", line)]
    assert {Requirement(line) for line in torch["requires-dist"]} == {Requirement(line) for line in needed}
    assert not [one["name"] for one in tomllib.loads(LOCK)["package"] if re.match("nvidia-c|cuda|triton", one["name"])]
