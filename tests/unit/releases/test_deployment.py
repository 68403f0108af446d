"""Commands that change which releases are in service: they wait for one another, and damaged files do not prevent a rollback."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.settings import Settings
from releases import deployment
from releases.__main__ import main
from releases.traffic_split import InvalidTrafficSplit


@pytest.fixture(autouse=True)
def _unverified_releases(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home whose releases are folders in it."""
    monkeypatch.setattr(deployment, "_path_of", lambda release: here.home / release)


def test_commands_at_the_same_time_lose_no_entry_of_the_history() -> None:
    names = [f"r{number}" for number in range(40)]
    with ThreadPoolExecutor(4) as operators:
        list(operators.map(deployment.activate, names))
    content = deployment.open_pointer().read()
    assert {content["release"], *(row["release"] for row in content["history"])} == set(names)


@pytest.mark.parametrize(
    "content", ['{"experiment": "e", "can', "[]", '{"experiment": "e", "canaries": [{"share": 2}]}']
)
def test_damaged_shares_do_not_prevent_a_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(deployment, "_verify", lambda _: None)
    (tmp_path / "first").mkdir()
    deployment.activate("first")
    deployment.activate("second")
    file = deployment.traffic_split_file()
    file.write_text(content)
    with pytest.raises(InvalidTrafficSplit, match=r"shares\.json is damaged .*releases end"):
        deployment.canary("third", 0.1)
    assert deployment.rollback() == [
        "rolled back: first is active for all users",
        f"ended: {file} was damaged and is now shares.json.damaged",
    ]
    assert deployment.open_pointer().active == "first"
    assert not file.exists() and file.with_name("shares.json.damaged").read_text() == content


@pytest.mark.parametrize("content", ['{"rel', "[]", "{}"])
def test_damaged_pointer_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["release", "rollback"])
    pointer = tmp_path / "bentoml" / "active.json"
    pointer.parent.mkdir()
    pointer.write_text(content)
    assert main() == 2
    assert f"{pointer} is damaged; restore it from a backup, or move it away" in capsys.readouterr().err
