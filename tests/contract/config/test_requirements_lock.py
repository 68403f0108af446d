"""requirements.lock has a version within the required range for every dependency in pyproject.toml."""

import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.requirements import Requirement

from config import settings

PROJECT = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
ON_DEMAND = {Requirement(line).name: "make docs" for line in PROJECT["optional-dependencies"]["docs"]}
ON_DEMAND |= {Requirement(line).name: "make test" for line in PROJECT["optional-dependencies"]["spark"]}
"""Packages that `make setup` does not install, and the make target that does."""
DIRECT = [one for line in PROJECT["dependencies"] + EXTRAS if (one := Requirement(line)).name != PROJECT["name"]]
LOCK = {
    (pin := Requirement(line)).name.lower().replace("_", "-"): pin
    for line in (settings.ROOT / "requirements.lock").read_text().splitlines()
    if line and not line.startswith("#")
}


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_locked_version_is_installed(requirement: Requirement) -> None:
    pin = LOCK.get(requirement.name.lower().replace("_", "-"))
    assert pin, f"{requirement.name} is in pyproject.toml but not in requirements.lock"
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        if requirement.name not in ON_DEMAND:
            raise
        pytest.skip(f"{requirement.name} is not installed; {ON_DEMAND[requirement.name]} does it")
    assert pin.specifier.contains(installed, prereleases=True)
    assert requirement.specifier.contains(installed, prereleases=True)
    assert requirement.specifier, (
        f"{requirement.name} has no lower bound; a resolver may fall back to an absurdly old release"
    )
