"""requirements.lock has a version within the required range for every dependency in pyproject.toml, and hashes for each version."""

import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from config import settings
from local.dependencies.verify_archives import read_locked_hashes

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


def test_every_locked_version_has_hashes_of_its_archives() -> None:
    text = (settings.ROOT / "requirements.hashes.lock").read_text()
    hashed = {(pin := Requirement(line.removesuffix(" \\"))).name: pin for line in text.splitlines() if "==" in line}
    pins = {canonicalize_name(name): str(pin.specifier) for name, pin in LOCK.items() if name != "torch"}
    assert {canonicalize_name(name): str(pin.specifier) for name, pin in hashed.items()} == pins
    assert all(read_locked_hashes(text).values())
    assert "://" not in text, "an address of a package index"


def test_every_package_that_is_installed_for_a_dependency_is_locked() -> None:
    pending, seen = list(DIRECT), set()
    while pending:
        requirement = pending.pop()
        for extra in {"", *requirement.extras}:
            name = canonicalize_name(requirement.name)
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            with suppress(PackageNotFoundError):  # an optional one, see ON_DEMAND
                needed = map(Requirement, distribution(name).requires or ())
                pending += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]
    names = {name for name, _ in seen} - {"setuptools"}
    assert len(names) > 200
    assert sorted(names - {canonicalize_name(name) for name in LOCK} - set(ON_DEMAND)) == []
