"""Landing the simulated world: which world is simulated."""

from datetime import UTC, datetime, timedelta

import pytest

from config.settings import load_settings
from local import land


@pytest.mark.parametrize("last_day", ["", "2026-06-30"])
@pytest.mark.usefixtures("here")
def test_the_simulated_world_ends_yesterday_unless_a_day_is_set(last_day, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setenv("SEGUE_SIMULATED_LAST_DAY", last_day)
    monkeypatch.setattr(land, "_run_module", lambda *command: commands.append(command))
    (tmp_path / "simulated" / "debug").mkdir(parents=True)
    before = datetime.now(UTC).date()
    land.simulate_world(load_settings(), "debug")
    after = datetime.now(UTC).date()
    (command,) = commands
    simulated = command[command.index("--last-day") + 1]
    yesterdays = {str(day - timedelta(days=1)) for day in (before, after)}
    assert {simulated} == {last_day} if last_day else simulated in yesterdays
    land.simulate_world(load_settings(), "debug")  # complete: it is not simulated again on another day
    assert len(commands) == 1
