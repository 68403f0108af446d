"""Days that are built one after the other give the same rows as one build from all events, on both engines.

Days with late and duplicate events, erased users, bots, a changed catalog, and a run for an earlier day. With SEGUE_ACCEPTANCE
30 days, both kinds of time split, and Spark.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from local.publish_marts import publish
from storage.files import write_json
from tests.support import spark
from tests.support.dbt_process import WITHOUT_TESTS, dbt_on
from tests.support.landing_zone import at, event, write, write_empty_tables
from tests.support.progress import FULL
from tests.support.tiers import acceptance_only

DAYS = 30 if FULL else 6
USERS = [f"u{number}" for number in range(9)]
TRACKS = [str(number) for number in range(12)]
ALBUMS = ["l0", "l1"]
RECORDINGS = ["USRC17607839", "USRC17607840"]  # of tracks 3 and 4
DAY_MINUTES = 24 * 60
VARIABLES = {"bot_actions_per_minute": 12}
FIRST_DAY = date(2026, 6, 1)


@dataclass
class World:
    """Landed files of days with everything that may arrive.

    Args:
        folder: Folder of files that are landed later.
    """

    folder: Path
    random: Random = field(default_factory=lambda: Random(5))
    events: list[dict[str, Any]] = field(default_factory=list)
    landed: dict[str, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    add: list[tuple[str, str]] = field(default_factory=list)
    add_during_build: list[tuple[str, str]] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)

    def land(self, table: str, partition: str, rows: list[dict[str, Any]], during_build: bool = False) -> str:
        """Land a file in the current step, before or during its build; return its name below `landing`."""
        name = f"{table}-{len(self.add)}-{self.random.getrandbits(40)}"
        path = write(self.folder, table, partition, name, rows)
        landed = str(path.relative_to(self.folder / "landing"))
        (self.add_during_build if during_build else self.add).append((str(path), landed))
        if table == "listening_events":
            self.landed[landed] = (partition, rows)
        return landed

    def land_by_day(self, table: str, time: str, rows: list[dict[str, Any]]) -> None:
        """Land rows in the partitions of their days, as landing does."""
        for day in sorted({row[time].date() for row in rows}):
            self.land(table, str(day), [row for row in rows if row[time].date() == day])

    def day(self, number: int) -> list[dict[str, Any]]:
        """Events of a day. Sessions and outcomes of impressions cross midnight; some events have equal times."""
        rows: list[dict[str, Any]] = []
        for user in self.random.sample(USERS, 5):
            minute = number * DAY_MINUTES + self.random.choice([600.0, DAY_MINUTES - 25.0])
            for _ in range(self.random.randint(1, 9)):
                minute += self.random.choice([0, 0, 3, 4, 17, 40])
                action = self.random.choice(
                    ["play", "play", "play", "like", "unlike", "impression", "impression", "click"]
                )
                track = self.random.choice(TRACKS)
                played = self.random.choice([9_000, 40_000, 120_000, 180_000]) if action == "play" else None
                request = f"q{user}{number}" if self.random.random() < 0.6 else None
                rows.append(
                    event(
                        *(f"e{len(self.events) + len(rows)}", user, action, track, minute),
                        **{"played_ms": played, "request_id": request, "sequence_number": len(rows)},
                    )
                )
            if self.random.random() < 0.5:
                action = self.random.choice(["exclude", "exclude", "unexclude"])
                target = {"target_type": "album", "target_id": self.random.choice(ALBUMS)}
                name = f"e{len(self.events) + len(rows)}"
                rows.append(event(name, user, action, "0", minute, **target, sequence_number=len(rows)))
        self.events += rows
        return rows

    def erase(self, user: str) -> None:
        """Replace the landed files that have rows of the user."""
        for name, (partition, rows) in list(self.landed.items()):
            if any(row["user_id"] == user for row in rows):
                self.remove.append(name)
                del self.landed[name]
                kept = [row for row in rows if row["user_id"] != user]
                if kept:
                    self.land("listening_events", partition, kept)
        self.events = [row for row in self.events if row["user_id"] != user]

    def write_step(self, steps: Path, number: int, as_of: date) -> None:
        """Write the step and begin the next."""
        step = {"variables": VARIABLES | {"as_of": str(as_of)}, "add": self.add, "remove": self.remove}
        step |= {"add_during_build": self.add_during_build}
        write_json(steps / f"{number:03d}.json", step)
        self.add, self.remove, self.add_during_build = [], [], []


def write_days(folder: Path, split: str) -> Path:
    """Write the steps of the days, of which the first has two; return their folder."""
    world = World(folder / "files")
    counts = {"read": 1, "landed": 1, "duplicate": 0, "quarantined": 0}
    world.land("landings", "2026-06-01", [{"landing_id": "l", "format": "f", "source": "s", "split": split} | counts])
    lengths = dict.fromkeys(TRACKS[:8], 180000)
    world.land("tracks", "2026-06-01", [_track(track, length) for track, length in lengths.items()])
    for number in range(DAYS):
        day = FIRST_DAY + timedelta(days=number)
        rows = world.day(number)
        world.land_by_day("listening_events", "ended_at", rows)
        shown = [_exposure(row) for row in rows if row["action"] == "impression" and row["request_id"]]
        world.land_by_day("exposures", "shown_at", shown)
        if number % 3 == 1:  # an event of an earlier day, a copy of one with another time, and a copy of a copy
            earlier = world.random.choice(
                [row for row in world.events if row["ended_at"] < rows[0]["ended_at"]] or rows
            )
            late = dict(earlier, event_id=f"late{number}", ended_at=earlier["ended_at"] + timedelta(minutes=1))
            moved = dict(world.random.choice(world.events))
            moved["ended_at"] += timedelta(minutes=world.random.choice([-90, 90]))
            world.land("listening_events", str(late["ended_at"].date()), [late, dict(earlier)])
            world.land("listening_events", str(moved["ended_at"].date()), [moved])
        if number % 5 == 2:  # a bot, of whom an event arrives later
            start = number * DAY_MINUTES + 700
            bot = [event(f"b{number}-{n}", "u1", "click", "1", start + n / 100, sequence_number=n) for n in range(13)]
            world.land("listening_events", str(day), bot[:12])
        if number % 5 == 3:
            world.land("listening_events", str(day - timedelta(days=1)), bot[12:])
        if number % 7 == 4:
            world.erase(world.random.choice(USERS[2:5]))
        if number % 6 == 5:  # the catalog changes, and knows a track that had no length
            world.land("tracks", str(day), [_track("2", 125_000 + number, at(number)), _track("9", 61_000, at(number))])
        if number == 2:  # another source has two of the tracks, of which one match is undone later
            recorded = {"format": "own_events", "artist_ids": ["a9"], "landed_at": at(number)}
            pairs = zip("34", RECORDINGS, strict=True)
            world.land("tracks", str(day), [{"track_id": f"o{n}", "recording_id": one} | recorded for n, one in pairs])
        if number == 5:
            world.land("track_matches", str(day), [{"track_id": "4", "same_as_id": "4"}])
        if number:
            world.write_step(folder / "steps", number, day + timedelta(days=1))
        if number == DAYS // 2:  # a run for an earlier day
            world.write_step(folder / "steps", 500 + number, day - timedelta(days=1))
            (folder / "steps" / f"{500 + number}.json").rename(folder / "steps" / f"{number:03d}b.json")
    return folder / "steps"


def _track(track: str, duration_ms: int, landed_at: Any = None) -> dict[str, Any]:
    row = {"track_id": track, "title": track, "artist_ids": [f"a{int(track) % 4}"], "duration_ms": duration_ms}
    row |= {"album_id": ALBUMS[int(track) % 2] if int(track) < 8 else None}
    row |= {"recording_id": dict(zip("34", RECORDINGS, strict=True)).get(track)}
    return row | ({"landed_at": landed_at} if landed_at else {"landed_at": at(-10)})


def _exposure(row: dict[str, Any]) -> dict[str, Any]:
    names = ("event_id", "request_id", "user_id", "target_type", "target_id")
    shown = {"scene": "daily", "shown_at": row["ended_at"], "release": "r", "arm": "r", "position": 0}
    return (
        {name: row[name] for name in names}
        | shown
        | {"channels": ["popularity"], "propensity": 1.0, "is_exploration": False}
    )


def run_builds(home: Path, steps: Path, engine: str = "duckdb", is_once: bool = False) -> None:
    """Apply the steps with a `dbt build` after each, or after the last one only."""
    write_empty_tables(home)
    files = sorted(steps.glob("*.json"))
    for number, file in enumerate(files, 1):
        step = json.loads(file.read_text())
        for source, name in step["add"]:
            _add(source, home / "landing" / name)
        for name in step["remove"]:
            (home / "landing" / name).unlink()
        late = [(source, str(home / "landing" / name)) for source, name in step["add_during_build"]]
        if is_once and number < len(files):
            for source, target in late:
                _add(source, Path(target))
            continue
        options = ["--vars", json.dumps(step["variables"]), "--quiet", *WITHOUT_TESTS]
        before = {name: read_rows(home, name) for name in ("events", "user_profiles")}
        run = dbt_on(engine).build(home, options, late)
        assert run.returncode == 0, run.stdout[-3000:]
        if number > 1 and engine == "duckdb" and not is_once:
            assert_changes_are_announced(home, before)


def read_rows(home: Path, name: str) -> set[tuple[Any, ...]]:
    """Rows of a mart as (user_id, known_at, the row as text); none before the first build."""
    path = home / "marts" / f"{name}.parquet"
    query = f"select user_id, known_at, rows::varchar from '{path}' as rows"
    return set(duckdb.sql(query).fetchall()) if path.exists() else set()


def assert_changes_are_announced(home: Path, before: dict[str, set[tuple[Any, ...]]]) -> None:
    """All rows in which two builds differ are of users in `changed_users`, from their time on."""
    changed = f"'{home / 'marts' / 'changed_users.parquet'}'"
    newest = f"select user_id, from_time from {changed} where build = (select max(build) from {changed})"
    from_time = dict(duckdb.sql(newest).fetchall())
    for name, rows in before.items():
        for user, known_at, _ in rows ^ read_rows(home, name):
            assert from_time[user] <= known_at, (name, user)


def _add(source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def assert_steps_equal_one_build(folder: Path, steps: Path) -> None:
    """Build the homes `grown`, after every step, and `whole`, after the last one, and compare their marts."""
    run_builds(folder / "grown", steps)
    run_builds(folder / "whole", steps, is_once=True)
    assert_equal_marts(folder / "grown", folder / "whole")


def assert_equal_marts(grown: Path, whole: Path) -> None:
    names = sorted(path.name for path in (whole / "marts").glob("*.parquet"))
    assert sorted(path.name for path in (grown / "marts").glob("*.parquet")) == names
    for name in set(names) - {"changed_users.parquet"}:
        found, expected = (duckdb.sql(f"select * from '{home / 'marts' / name}' order by all").fetchall()
                           for home in (grown, whole))  # fmt: skip
        different = [pair for pair in zip(found, expected, strict=False) if pair[0] != pair[1]]
        assert not different, f"{name}: {len(different)} rows differ, e.g. {different[:2]}"
        assert len(found) == len(expected), name


@pytest.mark.parametrize("split", ["global_time", pytest.param("user_time", marks=acceptance_only)])
def test_days_one_by_one_equal_one_build(tmp_path: Path, split: str) -> None:
    assert_steps_equal_one_build(tmp_path, write_days(tmp_path, split))
    with duckdb.connect(str(tmp_path / "grown" / "warehouse.duckdb")) as warehouse:
        (changed,) = warehouse.sql("select count(*) from int_changed_users").fetchone() or (0,)
        (left_out,) = warehouse.sql("select count(*) from int_plays_left_out").fetchone() or (0,)
        (likes,) = warehouse.sql("select min(likes_total) from track_statistics").fetchone() or (-1,)
        aliases = warehouse.sql("select track_id from track_aliases").fetchall()
        played = warehouse.sql("select distinct track_id from plays where track_id in ('o3', '4')").fetchall()
    assert aliases == [("o3",)]
    assert len(played) == 2
    assert changed > 0, "the last day continued the tables of the one before"
    assert left_out > 0
    assert likes == 0, "also of tracks with unlikes only"
    with duckdb.connect(str(tmp_path / "whole" / "warehouse.duckdb")) as warehouse:
        for table in ("int_events_ordered", "int_plays_sessionized", "plays", "sessions"):
            times = warehouse.sql(f"select ended_at from {table} order by rowid").fetchall()
            assert times == sorted(times), f"{table}: later builds skip older row groups"


def land_contents(world: World) -> None:
    """Land plays of tracks whose album and playlist u5 leaves out."""
    world.land("tracks", "2026-06-01", [_track(track, 180_000) for track in TRACKS[:4]])
    world.land("playlists", "2026-06-01", [_playlist(["0", "3"], -10)])
    for number in range(2):
        start = number * DAY_MINUTES + 600
        targets = {"playlist": "p", "album": ALBUMS[1]} if number == 0 else {}
        rows = [
            event(f"x{kind}", "u5", "exclude", target, start - 60, target_type=kind) for kind, target in targets.items()
        ]
        world.land_by_day("listening_events", "ended_at", rows + _plays_of_contents("u5", number))


def change_contents(world: World) -> None:
    """Change the contents of both, with plays of another user only, so that nothing else of u5 is computed again."""
    world.land_by_day("listening_events", "ended_at", _plays_of_contents("u6", 2))
    start = 2 * DAY_MINUTES + 600  # track 2 comes to both, track 0 leaves the playlist, track 1 leaves the album
    world.land("playlists", "2026-06-03", [_playlist(["2", "3"], start)])
    moved = [_track("1", 180_000, at(start)) | {"album_id": ALBUMS[0]}]
    moved += [_track("2", 180_000, at(start)) | {"album_id": ALBUMS[1]}]
    world.land("tracks", "2026-06-03", moved)


def _plays_of_contents(user: str, day: int) -> list[dict[str, Any]]:
    return [
        event(f"e{day}-{track}", user, "play", track, day * DAY_MINUTES + 600 + place, played_ms=40_000)
        for place, track in enumerate(TRACKS[:4])
    ]


def _playlist(track_ids: list[str], minute: float) -> dict[str, Any]:
    return {"playlist_id": "p", "source": "ugc", "track_ids": track_ids, "landed_at": at(minute)}


def write_late_exposures(folder: Path) -> Path:
    """Write the steps of three days.

    During the build of the first, exposures of five days before are landed, which the second reads. On the third, an exposure
    of a bot's day is landed again, as of now.
    """
    world = World(folder / "files")
    bot = [event(f"b{n}", "u1", "click", "1", 600 + n / 100, sequence_number=n) for n in range(13)]
    shown = _exposure(event("e", "u1", "impression", "1", 600, request_id="q"))
    world.land("listening_events", str(FIRST_DAY), bot)
    world.land("exposures", str(FIRST_DAY), [shown])
    for number in (0, 5, 6, 7):
        day = FIRST_DAY + timedelta(days=number)
        minute = number * DAY_MINUTES + 600
        played = event(f"e{number}", "u0", "play", "1", minute, request_id=f"q{number}", played_ms=40_000)
        world.land("listening_events", str(day), [played])
        world.land("exposures", str(day), [_exposure(played)], during_build=number == 0)
        if number == 7:
            world.land("exposures", str(day), [shown | {"shown_at": at(minute)}])
        if number:
            world.write_step(folder / "steps", number, day + timedelta(days=1))
    return folder / "steps"


def test_exposures_that_are_landed_late_equal_one_build(tmp_path: Path) -> None:
    assert_steps_equal_one_build(tmp_path, write_late_exposures(tmp_path))


def write_shortened_sessions(folder: Path) -> Path:
    """Write the steps of three sessions across midnight, which lose their second play one after the other.

    Before, in a step of its own, because sessions are computed again from the first day of all changes, the contents of a
    left-out album and a left-out playlist change.
    """
    world = World(folder / "files")
    land_contents(world)
    # Most plays are weeks older, so that the boundaries of the time split stay far away.
    old = [event(f"old{n}", "u8", "play", "1", 2 * n - 30 * DAY_MINUTES, played_ms=40_000) for n in range(300)]
    world.land("listening_events", "2026-05-02", old)
    landed = {}
    for number, user in enumerate(USERS[:3], 1):
        for place, end in (("first", number * DAY_MINUTES - 15), ("second", number * DAY_MINUTES + 5)):
            play = event(f"{place}-{user}", user, "play", "1", end, played_ms=40_000)
            landed[place, user] = world.land("listening_events", str(play["ended_at"].date()), [play])
    as_of = FIRST_DAY + timedelta(days=4)
    world.write_step(folder / "steps", 0, as_of)
    change_contents(world)
    world.write_step(folder / "steps", 1, as_of)
    world.remove.append(landed["second", "u0"])
    world.write_step(folder / "steps", 2, as_of)
    start = 2 * DAY_MINUTES + 700
    bot = [event(f"b{n}", "u1", "click", "1", start + n / 100, sequence_number=n) for n in range(13)]
    world.land("listening_events", "2026-06-03", bot)
    world.write_step(folder / "steps", 3, as_of)
    world.write_step(folder / "steps", 4, as_of - timedelta(days=1))
    return folder / "steps"


def test_shortened_sessions_and_changed_contents_equal_one_build(tmp_path: Path) -> None:
    """Sessions that lose their plays after midnight keep the others; profiles follow the contents of left-out targets."""
    assert_steps_equal_one_build(tmp_path, write_shortened_sessions(tmp_path))
    sessions = tmp_path / "grown" / "marts" / "sessions.parquet"
    kept = duckdb.sql(f"select user_id, plays from '{sessions}' where user_id < 'u3' order by all").fetchall()
    assert kept == [("u0", 1), ("u1", 1), ("u2", 1)]


@acceptance_only
@spark.needs_spark
def test_days_one_by_one_on_spark_equal_one_build_on_duckdb(tmp_path: Path) -> None:
    steps = write_days(tmp_path, "global_time")
    run_builds(tmp_path / "whole", steps, is_once=True)
    grown = tmp_path / "grown"
    run_builds(grown, steps, "spark")
    publish(grown / "spark" / "marts", grown / "marts")
    assert_equal_marts(grown, tmp_path / "whole")
