"""The synthetic logs of the landing benchmark have the format of real ones: every row lands."""

from pathlib import Path

import pytest

from ingestion.land import land
from research.data import landing
from tests.support.log_sources import landed


@pytest.mark.parametrize("name", landing.FORMATS)
def test_every_row_of_a_synthetic_log_lands(tmp_path: Path, name: str) -> None:
    (tmp_path / "log").mkdir()
    landing.FORMATS[name](tmp_path / "log", 600)
    (counts,) = land(tmp_path / "log", tmp_path / "home").values()
    assert counts.quarantined == 0
    events = landed(tmp_path / "home")
    assert events.height == 600 and events["target_id"].n_unique() > 300
    assert events["ended_at"].dt.month().n_unique() == 2
