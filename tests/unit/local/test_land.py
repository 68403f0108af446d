"""Landing the simulated world: which world is simulated."""

from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from config.settings import load_settings
from local import land
from storage.files import atomic_write


@pytest.mark.parametrize("last_day", ["", "2026-06-30"])
@pytest.mark.usefixtures("here")
def test_the_simulated_world_ends_yesterday_unless_a_day_is_set(last_day, tmp_path, monkeypatch):
    simulate = mock.Mock(side_effect=lambda size, folder: atomic_write(folder / land.MANIFEST, ""))
    monkeypatch.setenv("SEGUE_SIMULATED_LAST_DAY", last_day)
    monkeypatch.setattr(land, "simulate", simulate)
    left_by_an_interrupted_simulation = tmp_path / "simulated" / "debug" / "tracks"
    left_by_an_interrupted_simulation.mkdir(parents=True)
    before = datetime.now(UTC).date()
    for _ in range(2):  # complete: it is not simulated again on another day
        land.simulate_world(load_settings(), "debug")
    days = {str(day - timedelta(days=1)) for day in (before, datetime.now(UTC).date())}
    assert simulate.call_count == 1 and not left_by_an_interrupted_simulation.exists()
    assert simulate.call_args.args[0].last_day in ({last_day} if last_day else days)
