"""`python -m ingestion.forget USER ...`: everything of these users leaves SEGUE_HOME and the online store, for good.

A running recommender goes on. Run again, it changes nothing; killed anywhere, it is finished by running it again. The users
are put on the list of those who were forgotten first, so that nothing of them comes in behind: not from the log that they
came in, not from the recommender, not from a broken step of this command. What it does not reach: docs/operations.md.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

import forgotten
import settings
import storage
from forgotten import ForgottenError
from ingestion import contract, erase_parquet
from ingestion.landing import Landing, locked, write
from storage import StorageError

BUILD = "build_marts"
"""The lock under which Airflow's task runs `dbt build`, see `local/alone.py`."""
KEPT = ("simulated", "training", "bentoml", "study", "peers", "reports")
"""Folders of SEGUE_HOME where stages keep Parquet of their own, releases among it."""
TRAINING_KEPT = "kept"
"""Of `training`, arrays of everybody's sequences: the next training makes them again, of the marts."""
BUSY = "lock"

Counts = dict[str, Counter[str]]


class StepFailed(RuntimeError):
    """A step could not be done; the message says what stands in the way."""


def forget(user_ids: Sequence[str], here: settings.Settings) -> Counts:
    """Put the users on the list and erase them; what was erased, place by place.

    The order is what makes it safe beside everything that runs: the list before all, the marts after what they are built
    of, the online store after the marts.

    Raises:
        StepFailed: a stage could not erase them, or others hold a file for ever; what is done stays done. Or the bucket of the
            tables keeps versions; then nothing is done.
        ForgottenError: the list is damaged.
        StorageError: object storage does not do its part.
    """
    if storage.keeps_versions(here.tables):
        raise StepFailed(
            f"{here.tables} is in a bucket that keeps versions, so what is overwritten there can be had again: suspend its "
            "versioning, delete all versions but the newest, and run this again"
        )
    forgotten.read(here.forgotten).with_users(user_ids).write(here.forgotten)
    counts = _stage("serving.forget", user_ids, here)
    with locked(here.home), _building(here):
        counts["landed events"] = _landed(here, user_ids)
        counts["quarantine"] = _parquet(storage.files(here.quarantine, "*/dt=*/*.parquet"), user_ids, "quarantine")
        counts["marts"] = _marts(here, user_ids)
    counts |= _stage("sequences.forget", user_ids, here)
    _arrays(here.training / TRAINING_KEPT)
    for name in KEPT:
        counts[name] = _parquet(sorted((here.home / name).rglob("*.parquet")), user_ids, name)
    return counts


def running_tasks(home: Path) -> list[str]:
    """Names of the line's tasks that run now: what they hold in memory, they may still write."""
    names = []
    for lock in sorted((home / "run").glob("*.lock")):
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                names.append(lock.stem)
    return names


def _stage(module: str, user_ids: Sequence[str], here: settings.Settings) -> Counts:
    """What another stage erases by itself."""
    _say(f"{module} …")
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=settings.ROOT,
        env=os.environ | settings.tool_environment(here),
        input=json.dumps(list(user_ids)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StepFailed(f"{module} ended with {done.returncode}, its own words stand above; then run this again")
    return {place: Counter(users) for place, users in json.loads(done.stdout.splitlines()[-1]).items()}


def _landed(here: settings.Settings, user_ids: Sequence[str]) -> Counter[str]:
    """Files of the landing zone are named by their content, so one that changes is another file."""
    erased: Counter[str] = Counter()
    files = [path for table in contract.HAPPENED_AT for path in storage.files(here.landing / table, "dt=*/*.parquet")]
    for path in _watched(files, "landing"):
        rows = erase_parquet.found(path, user_ids)
        if rows:
            _replace(path, erase_parquet.without(_rows(path), user_ids))
            erased += rows
    for path in storage.files(here.landing / "landings", "dt=*/*.parquet"):
        table = _rows(path)
        if (unnamed := _unnamed(table, user_ids)) != table:
            _replace(path, unnamed)
    Landing(here.tables, "day", datetime.now(UTC)).finish()
    storage.landing(here)
    return erased


def _replace(path: Path, table: pa.Table) -> None:
    """Put a table in the place of a landed file; on a disk it counts as landed when that was, an object as landed now."""
    then = path.stat()
    if table.num_rows:
        written = write(path.parent, table)
        if not storage.is_remote(written):
            os.utime(written, ns=(then.st_atime_ns, then.st_mtime_ns))
    path.unlink()


def _rows(path: Path) -> pa.Table:
    return pq.read_table(storage.source(path), partitioning=None)


def _unnamed(landings: pa.Table, user_ids: Collection[str]) -> pa.Table:
    """The record of landings, where a personal export was called by its user, without that name."""
    named = landings["source"].to_pylist()
    sources = ["forgotten" if one in user_ids or Path(one).stem in user_ids else one for one in named]
    place = landings.column_names.index("source")
    return landings.set_column(place, landings.schema.field(place), pa.array(sources, pa.string()))


def _marts(here: settings.Settings, user_ids: Sequence[str]) -> Counter[str]:
    """The published marts lose the users' rows, and so do copies of them on this machine; the warehouse, where a database
    keeps what was deleted, goes: the next `dbt build` makes it again from what is landed.
    """
    erased = _parquet(storage.files(here.marts, "*.parquet"), user_ids, "marts")
    storage.marts(here)
    shutil.rmtree(here.built, ignore_errors=True)
    here.warehouse.unlink(missing_ok=True)
    here.warehouse.with_name(here.warehouse.name + ".wal").unlink(missing_ok=True)
    shutil.rmtree(here.spark, ignore_errors=True)
    return erased


def _arrays(kept: Path) -> None:
    """They cannot lose one user alone, for the places of all others would move."""
    try:
        shutil.rmtree(kept)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StepFailed(f"{kept} could not be removed ({error}); when no training runs, run this again") from error


@contextmanager
def _building(here: settings.Settings) -> Iterator[None]:
    """No `dbt build` runs meanwhile, neither Airflow's nor another; one that runs now ends first."""
    with ExitStack() as held:
        lock = here.home / "run" / f"{BUILD}.lock"
        held.enter_context(_flock(lock, "dbt build"))
        waits = 0
        while here.warehouse.exists():
            try:
                held.enter_context(duckdb.connect(str(here.warehouse)))
                break
            except duckdb.IOException as error:
                if BUSY not in str(error):
                    break  # damaged, or of another version: it goes in any case
                if not waits:
                    _say(f"waiting: another program has {here.warehouse} open, a dbt build perhaps")
                waits += 1
                time.sleep(1)
            except duckdb.Error:
                break
        yield


@contextmanager
def _flock(path: Path, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting: another {what} runs")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parquet(files: Sequence[Path], user_ids: Sequence[str], name: str) -> Counter[str]:
    erased: Counter[str] = Counter()
    for path in _watched(files, name):
        erased += erase_parquet.erase(path, user_ids)
    return erased


def _watched(files: Sequence[Path], name: str) -> Iterator[Path]:
    """The files, with a bar where there are many."""
    yield from tqdm(files, desc=name, unit="file", disable=None if len(files) > 20 else True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _table(counts: Counts) -> str:
    rows = [(place, f"{sum(of.values()):,}") for place, of in counts.items()]
    return "\n".join(f"  {place:<24} {number:>12}" for place, number in [("place", "rows erased"), *rows])


def main(arguments: list[str] | None = None) -> int:
    """The command: prints what was erased where."""
    parser = argparse.ArgumentParser(prog="python -m ingestion.forget", description=__doc__)
    parser.add_argument("users", nargs="+", metavar="USER", help="user ids, as they are in the log")
    parser.add_argument(
        "--anyway", action="store_true", help="keep out users of whom there is nothing, should they come"
    )
    parser.add_argument("--lift", action="store_true", help="let forgotten users come back; what was erased does not")
    options = parser.parse_args(arguments)
    users = list(dict.fromkeys(options.users))
    if any(user.strip() != user or not user for user in users):
        parser.error("a user id has no blanks around it and is not empty")
    try:
        here = settings.load()
        with _flock(here.home / "run" / "forget.lock", "python -m ingestion.forget"):
            return _lift(users, here) if options.lift else _forget(users, here, options.anyway)
    except (settings.SettingError, ForgottenError, StepFailed, StorageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _forget(users: Sequence[str], here: settings.Settings, is_anyway: bool) -> int:
    known = forgotten.read(here.forgotten).among(users)
    counts = forget(users, here)
    print(_table(counts))
    of_user: Counter[str] = sum(counts.values(), Counter())
    for user in users:
        if of_user[user] or is_anyway:
            print(f"{user}: forgotten, {of_user[user]:,} rows erased")
        elif user in known:
            print(f"{user}: was forgotten before, and nothing of them is here")
    if tasks := [task for task in running_tasks(here.home) if task != "forget"]:
        print(f"run this again when these tasks have ended, for they may write what they had read: {', '.join(tasks)}")
    unknown = [user for user in users if not of_user[user] and user not in known and not is_anyway]
    if not unknown:
        return 0
    forgotten.read(here.forgotten).without_users(unknown).write(here.forgotten)
    print(
        f"error: there is nothing of {', '.join(unknown)} in {here.home}{here.tables_at and f' and {here.tables_at}'}; check "
        "the spelling, or keep them out of what will be landed with --anyway",
        file=sys.stderr,
    )
    return 2


def _lift(users: Sequence[str], here: settings.Settings) -> int:
    now = forgotten.read(here.forgotten)
    missing = set(users) - now.among(users)
    if missing:
        print(f"error: not forgotten: {', '.join(sorted(missing))}; nothing was changed", file=sys.stderr)
        return 2
    now.without_users(users).write(here.forgotten)
    print(f"{', '.join(users)}: may come back; land their log to have it again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
