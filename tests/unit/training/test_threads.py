"""Number of threads from the environment."""

from __future__ import annotations

import pytest

from config.settings import SettingError
from training.process import configure_threads


@pytest.mark.parametrize("name", ["SEGUE_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("value", ["all", "0", "-1", "1.5"])
def test_other_texts_than_numbers_are_errors_with_the_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=f"{name}='{value}' .*correct it, or unset it"):
        configure_threads()
