"""Commands that change which releases are in service wait for one another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from training.release import deployment, traffic_split


def test_commands_at_the_same_time_lose_no_entry_of_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setattr(deployment, "_path_of", lambda release: tmp_path / release)
    names = [f"r{number}" for number in range(40)]
    with ThreadPoolExecutor(4) as operators:
        list(operators.map(deployment.activate, names))
    content = deployment.open_pointer().read()
    assert content is not None
    assert {content["release"], *(row["release"] for row in content["history"])} == set(names)


def test_shares_that_are_set_at_the_same_time_are_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setattr(deployment, "_path_of", lambda release: tmp_path / release)
    deployment.activate("production")
    with ThreadPoolExecutor(4) as operators:
        list(operators.map(lambda name: deployment.canary(name, 0.1, "experiment"), "abcd"))
    split = traffic_split.read(deployment.traffic_split_file())
    assert sorted(canary.release for canary in split.canaries) == ["a", "b", "c", "d"]
