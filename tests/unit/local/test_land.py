"""Landing the simulated world: which world is simulated."""

from datetime import UTC, datetime, timedelta

import pytest

from config.settings import load_settings
from local import land


@pytest.mark.parametrize("last_day", ["", "2026-06-30"])
@pytest.mark.usefixtures("here")
def test_the_simulated_world_ends_yesterday_unless_a_day_is_set(last_day, tmp_path, monkeypatch):
    simulated = []

    def simulate(size, folder):
        assert not folder.exists()
        folder.mkdir(parents=True)
        (folder / land.MANIFEST).touch()
        simulated.append(size.last_day)

    monkeypatch.setenv("SEGUE_SIMULATED_LAST_DAY", last_day)
    monkeypatch.setattr(land, "simulate", simulate)
    (tmp_path / "simulated" / "debug" / "tracks").mkdir(parents=True)  # left by an interrupted simulation
    before = datetime.now(UTC).date()
    land.simulate_world(load_settings(), "debug")
    after = datetime.now(UTC).date()
    yesterdays = {str(day - timedelta(days=1)) for day in (before, after)}
    assert simulated == [last_day] if last_day else simulated[0] in yesterdays
    land.simulate_world(load_settings(), "debug")  # complete: it is not simulated again on another day
    assert len(simulated) == 1
