"""uv.lock: names public hosts only, is what is installed, and has torch without the packages of CUDA."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from config import settings

PYPROJECT = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
ON_DEMAND = {Requirement(line).name: extra for extra in ("docs", "spark") for line in EXTRAS[extra]}
"""Packages that `make setup` does not install, and their extra."""
DIRECT = [
    one
    for line in [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
    if (one := Requirement(line)).name != PROJECT["name"]
]
LOCK = (settings.ROOT / "uv.lock").read_text()
LOCKED = {(one["name"], Version(one.get("version", "0"))) for one in tomllib.loads(LOCK)["package"]}


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_locked_version_is_installed(requirement: Requirement) -> None:
    assert requirement.specifier, (
        f"{requirement.name} has no lower bound; a resolver may fall back to an absurdly old release"
    )
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        if requirement.name not in ON_DEMAND:
            raise
        pytest.skip(f"{requirement.name} is not installed; make .venv/{ON_DEMAND[requirement.name]} does it")
    assert requirement.specifier.contains(installed, prereleases=True)
    assert requirement.name == "torch" or (canonicalize_name(requirement.name), Version(installed)) in LOCKED


def test_the_lock_names_public_hosts_only() -> None:
    assert set(re.findall(r"\w+://[^/\"]+", LOCK)) == {"https://pypi.org", "https://files.pythonhosted.org"}


def test_torch_is_locked_with_what_its_cpu_build_requires() -> None:
    (torch,) = PYPROJECT["tool"]["uv"]["dependency-metadata"]
    needed = [line for line in requires("torch") or () if ";" not in line and not re.match("nvidia|cuda|triton", line)]
    assert {Requirement(line) for line in torch["requires-dist"]} == {Requirement(line) for line in needed}
    assert not [name for name, _ in LOCKED if re.match("nvidia-c|cuda|triton", name)]
