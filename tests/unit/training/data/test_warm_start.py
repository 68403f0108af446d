"""Which fit a fit continues, and when it must be cold."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sequences.behaviours import load_behaviours
from training.data.vocabulary import Vocabulary
from training.data.warm_start import RECORD_FILE, FitRecord, WarmStart, describe_time_split, find_warm_start, warm_steps
from training.engine import workspace as workspace_module
from training.engine.workspace import INPUTS_FILE, Workspace, behaviours_hash, write_json


@dataclass(frozen=True)
class Config:
    steps: int = 10
    cutoffs: tuple[int, int] = (50, 200)


class Home:
    """Workspaces of some days."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def day(
        self,
        as_of: str,
        tracks: str = "ab",
        validation_from: int = 1,
        split: str = "global_time",
        plays: str = "hash of plays",
    ) -> Workspace:
        """The workspace of a day with its vocabulary, and the marts as they are on this day."""
        marts = self.folder / "marts"
        marts.mkdir(exist_ok=True)
        time_split = {
            "split": split,
            "validation_from": datetime(2026, 6, validation_from),
            "test_from": datetime(2026, 7, 1),
        }
        pl.DataFrame([time_split]).write_parquet(marts / "time_split.parquet")
        workspace = Workspace(self.folder / "training" / f"{as_of}-small", marts, as_of, "small")
        names = np.array(["", "", *tracks], dtype=object)
        no_artists = np.array(["", ""], dtype=object)
        vocabulary = Vocabulary(names, np.ones(len(names), dtype=np.int64), no_artists, names, no_artists)
        for fit in ("held_out", "final"):
            vocabulary.save(workspace.vocabulary_folder(fit))
        write_json(workspace.folder / INPUTS_FILE, {"marts": {"plays": plays}, "behaviours": behaviours_hash()})
        return workspace

    def fit(self, workspace: Workspace, fit: str = "held_out", code: str = "c", cold_as_of: str = "") -> None:
        """Record a finished fit."""
        folder = workspace.model_folder("channel", fit, "realtime")
        FitRecord(cold_as_of or workspace.as_of, describe_time_split(workspace.marts)).write(folder)
        inputs = {
            "code": code,
            "config": json.loads(json.dumps(asdict(Config()))),
            "hash": f"hash of {workspace.as_of}",
            "marts": {"plays": "hash of plays"},
            "behaviours": behaviours_hash(),
        }
        write_json(folder / INPUTS_FILE, inputs)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.fit(home.day("2026-06-10"))
    return home


def find(
    workspace: Workspace, fit: str = "held_out", config: Config = Config(), code: str = "c", days: int = 7
) -> WarmStart | None:
    return find_warm_start(workspace, "channel", "realtime", fit, config, code, days)


def test_newest_earlier_fit_on_the_train_part_is_continued(home: Home) -> None:
    home.fit(home.day("2026-06-11"), cold_as_of="2026-06-10")
    home.fit(home.day("2026-06-20"))
    found = find(home.day("2026-06-12", "cab", validation_from=2))
    assert found is not None
    assert (found.input_hash, found.cold_as_of) == ("hash of 2026-06-11", "2026-06-10")
    assert list(found.vocabulary.track_code) == ["a", "b"]
    assert found.folder == home.folder / "training" / "2026-06-11-small" / "held_out" / "channels" / "realtime"


def test_fit_is_cold_every_few_days_and_if_the_setting_is_off(home: Home) -> None:
    today = home.day("2026-06-16")
    assert find(today) is not None
    assert find(today, days=6) is None
    assert find(today, days=0) is None


def test_fit_is_cold_if_code_config_catalog_or_time_split_do_not_allow_it(home: Home) -> None:
    assert find(home.day("2026-06-11")) is not None
    assert find(home.day("2026-06-11"), code="d") is None
    assert find(home.day("2026-06-11"), config=Config(steps=11)) is None
    assert find(home.day("2026-06-11", tracks="acd")) is None, "a track has left the catalog"
    assert find(home.day("2026-06-11", split="user_time")) is None
    home.fit(home.day("2026-06-12", validation_from=5))
    assert find(home.day("2026-06-13", validation_from=4)) is None, "it has seen what is validation now"


def test_fit_is_cold_if_the_vocabulary_of_the_earlier_one_was_written_again(home: Home) -> None:
    home.fit(home.day("2026-06-11"), cold_as_of="2026-06-10")
    assert find(home.day("2026-06-12")) is not None
    today = home.day("2026-06-11", "ba", plays="hash of more plays")
    assert find(today, "final") is None
    assert find(home.day("2026-06-12")) is None


def test_fit_is_cold_if_the_table_of_behaviors_has_changed_or_is_unknown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = home.day("2026-06-11")
    assert find(today) is not None
    table = load_behaviours()
    other_order = replace(table, rows=table.rows[::-1])
    with monkeypatch.context() as patch:
        patch.setattr(workspace_module, "load_behaviours", lambda: other_order)
        assert find(today) is None
    yesterday = home.folder / "training" / "2026-06-10-small"
    for folder in (yesterday, yesterday / "held_out" / "channels" / "realtime"):
        inputs = json.loads((folder / INPUTS_FILE).read_text())
        del inputs["behaviours"]
        write_json(folder / INPUTS_FILE, inputs)
    assert find(today) is None, "an earlier version did not record it"


def test_fit_is_cold_after_one_of_an_earlier_version(home: Home) -> None:
    today = home.day("2026-06-11")
    assert find(today) is not None
    folder = home.day("2026-06-10").model_folder("channel", "held_out", "realtime")
    record = json.loads((folder / RECORD_FILE).read_text())
    (folder / RECORD_FILE).write_text(json.dumps({"cold_as_of": record["cold_as_of"], "cuts": record["time_split"]}))
    assert find(today) is None


def test_final_fit_continues_the_warm_fit_of_its_day_and_follows_a_cold_one(home: Home) -> None:
    today = home.day("2026-06-11")
    assert find(today, "final") is None, "nothing was fitted on the train part"
    home.fit(today)
    assert find(today, "final") is None, "that fit was cold"
    home.fit(today, cold_as_of="2026-06-10")
    found = find(today, "final", config=Config(steps=99))
    assert found is not None and found.input_hash == "hash of 2026-06-11"


def test_warm_fit_has_fewer_steps() -> None:
    assert [warm_steps(steps) for steps in (0, 1, 20, 2000)] == [0, 1, 6, 600]
