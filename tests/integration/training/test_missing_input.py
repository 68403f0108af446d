"""Training commands without input end with one error message."""

from __future__ import annotations

from types import ModuleType

import pytest

from config.settings import Settings
from training import evaluate, prepare, train


@pytest.mark.parametrize(("module", "arguments"), [(prepare, []), (train, ["channel", "popularity"]), (evaluate, [])])
def test_missing_marts_are_reported_with_the_remedy(
    here: Settings,
    module: ModuleType,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", [module.__name__, *arguments])
    assert module.main() == 1
    assert capsys.readouterr().err.startswith(f"error: no mart plays in {here.marts}; run `dbt build")
