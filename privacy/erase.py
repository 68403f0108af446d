"""`python -m privacy.erase USER ...`: everything of these users leaves SEGUE_HOME and the online store, for good.

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

from config import settings
from ingestion import contract
from ingestion.landing import Landing, landing_lock, write_parquet
from privacy import parquet
from storage import object_store, suppression_list
from storage.object_store import StorageError
from storage.suppression_list import SuppressionListError

BUILD_LOCK = "build_marts"
"""The lock under which Airflow's task runs `dbt build`, see `local/process_lock.py`."""
PARQUET_FOLDERS = ("simulated", "training", "bentoml", "study", "peers", "reports")
"""Folders of SEGUE_HOME where stages keep Parquet of their own, releases among it."""
SEQUENCE_CACHE_FOLDER = "kept"
"""Of `training`, arrays of everybody's sequences: the next training makes them again, of the marts."""
LOCK_ERROR_TEXT = "lock"

ErasedRows = dict[str, Counter[str]]


class ErasureError(RuntimeError):
    """A step could not be done; the message says what stands in the way."""


def erase_users(user_ids: Sequence[str], here: settings.Settings) -> ErasedRows:
    """Put the users on the list and erase them; what was erased, place by place.

    The order is what makes it safe beside everything that runs: the list before all, the marts after what they are built
    of, the online store after the marts.

    Raises:
        StepFailed: a stage could not erase them, or others hold a file for ever; what is done stays done. Or the bucket of the
            tables keeps versions; then nothing is done.
        ForgottenError: the list is damaged.
        StorageError: object storage does not do its part.
    """
    if object_store.is_versioned(here.tables):
        raise ErasureError(
            f"{here.tables} is in a bucket that keeps versions, so what is overwritten there can be had again: suspend its "
            "versioning, delete all versions but the newest, and run this again"
        )
    suppression_list.read_suppression_list(here.suppression_list).with_users(user_ids).write(here.suppression_list)
    counts = _erase_in_stage("privacy.recommender_files", user_ids, here)
    with landing_lock(here.home), _build_lock(here):
        counts["landed events"] = _erase_landed_events(here, user_ids)
        counts["quarantine"] = _erase_parquet_files(
            object_store.list_files(here.quarantine, "*/dt=*/*.parquet"), user_ids, "quarantine"
        )
        counts["marts"] = _erase_marts(here, user_ids)
    counts |= _erase_in_stage("privacy.online_store", user_ids, here)
    _remove_sequence_cache(here.training / SEQUENCE_CACHE_FOLDER)
    for name in PARQUET_FOLDERS:
        counts[name] = _erase_parquet_files(sorted((here.home / name).rglob("*.parquet")), user_ids, name)
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


def _erase_in_stage(module: str, user_ids: Sequence[str], here: settings.Settings) -> ErasedRows:
    """What another stage erases by itself."""
    _print_progress(f"{module} …")
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
        raise ErasureError(f"{module} ended with {done.returncode}, its own words stand above; then run this again")
    return {place: Counter(users) for place, users in json.loads(done.stdout.splitlines()[-1]).items()}


def _erase_landed_events(here: settings.Settings, user_ids: Sequence[str]) -> Counter[str]:
    """Files of the landing zone are named by their content, so one that changes is another file."""
    erased: Counter[str] = Counter()
    files = [
        path
        for table in contract.EVENT_TIME_COLUMNS
        for path in object_store.list_files(here.landing / table, "dt=*/*.parquet")
    ]
    for path in _with_progress_bar(files, "landing"):
        rows = parquet.count_user_rows(path, user_ids)
        if rows:
            _replace_landed_file(path, parquet.drop_users(_read_rows(path), user_ids))
            erased += rows
    for path in object_store.list_files(here.landing / "landings", "dt=*/*.parquet"):
        table = _read_rows(path)
        if (unnamed := _anonymize_landings(table, user_ids)) != table:
            _replace_landed_file(path, unnamed)
    Landing(here.tables, "day", datetime.now(UTC)).finish()
    object_store.fetch_landing(here)
    return erased


def _replace_landed_file(path: Path, table: pa.Table) -> None:
    """Put a table in the place of a landed file; on a disk it counts as landed when that was, an object as landed now."""
    then = path.stat()
    if table.num_rows:
        written = write_parquet(path.parent, table)
        if not object_store.is_remote(written):
            os.utime(written, ns=(then.st_atime_ns, then.st_mtime_ns))
    path.unlink()


def _read_rows(path: Path) -> pa.Table:
    return pq.read_table(object_store.open_arrow_source(path), partitioning=None)


def _anonymize_landings(landings: pa.Table, user_ids: Collection[str]) -> pa.Table:
    """The record of landings, where a personal export was called by its user, without that name."""
    named = landings["source"].to_pylist()
    sources = ["forgotten" if one in user_ids or Path(one).stem in user_ids else one for one in named]
    place = landings.column_names.index("source")
    return landings.set_column(place, landings.schema.field(place), pa.array(sources, pa.string()))


def _erase_marts(here: settings.Settings, user_ids: Sequence[str]) -> Counter[str]:
    """The published marts lose the users' rows, and so do copies of them on this machine; the warehouse, where a database
    keeps what was deleted, goes: the next `dbt build` makes it again from what is landed.
    """
    erased = _erase_parquet_files(object_store.list_files(here.marts, "*.parquet"), user_ids, "marts")
    object_store.fetch_marts(here)
    shutil.rmtree(here.built_marts, ignore_errors=True)
    here.warehouse.unlink(missing_ok=True)
    here.warehouse.with_name(here.warehouse.name + ".wal").unlink(missing_ok=True)
    shutil.rmtree(here.spark, ignore_errors=True)
    return erased


def _remove_sequence_cache(kept: Path) -> None:
    """They cannot lose one user alone, for the places of all others would move."""
    try:
        shutil.rmtree(kept)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ErasureError(f"{kept} could not be removed ({error}); when no training runs, run this again") from error


@contextmanager
def _build_lock(here: settings.Settings) -> Iterator[None]:
    """No `dbt build` runs meanwhile, neither Airflow's nor another; one that runs now ends first."""
    with ExitStack() as held:
        lock = here.home / "run" / f"{BUILD_LOCK}.lock"
        held.enter_context(_file_lock(lock, "dbt build"))
        waits = 0
        while here.warehouse.exists():
            try:
                held.enter_context(duckdb.connect(str(here.warehouse)))
                break
            except duckdb.IOException as error:
                if LOCK_ERROR_TEXT not in str(error):
                    break  # damaged, or of another version: it goes in any case
                if not waits:
                    _print_progress(f"waiting: another program has {here.warehouse} open, a dbt build perhaps")
                waits += 1
                time.sleep(1)
            except duckdb.Error:
                break
        yield


@contextmanager
def _file_lock(path: Path, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _print_progress(f"waiting: another {what} runs")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _erase_parquet_files(files: Sequence[Path], user_ids: Sequence[str], name: str) -> Counter[str]:
    erased: Counter[str] = Counter()
    for path in _with_progress_bar(files, name):
        erased += parquet.erase_from_file(path, user_ids)
    return erased


def _with_progress_bar(files: Sequence[Path], name: str) -> Iterator[Path]:
    """The files, with a bar where there are many."""
    yield from tqdm(files, desc=name, unit="file", disable=None if len(files) > 20 else True)


def _print_progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _format_counts(counts: ErasedRows) -> str:
    rows = [(place, f"{sum(of.values()):,}") for place, of in counts.items()]
    return "\n".join(f"  {place:<24} {number:>12}" for place, number in [("place", "rows erased"), *rows])


def main(arguments: list[str] | None = None) -> int:
    """The command: prints what was erased where."""
    parser = argparse.ArgumentParser(prog="python -m privacy.erase", description=__doc__)
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
        here = settings.load_settings()
        with _file_lock(here.home / "run" / "forget.lock", "python -m privacy.erase"):
            return _lift_suppression(users, here) if options.lift else _run_erasure(users, here, options.anyway)
    except (settings.SettingError, SuppressionListError, ErasureError, StorageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run_erasure(users: Sequence[str], here: settings.Settings, is_anyway: bool) -> int:
    known = suppression_list.read_suppression_list(here.suppression_list).intersection(users)
    counts = erase_users(users, here)
    print(_format_counts(counts))
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
    suppression_list.read_suppression_list(here.suppression_list).without_users(unknown).write(here.suppression_list)
    print(
        f"error: there is nothing of {', '.join(unknown)} in {here.home}{here.tables_url and f' and {here.tables_url}'}; check "
        "the spelling, or keep them out of what will be landed with --anyway",
        file=sys.stderr,
    )
    return 2


def _lift_suppression(users: Sequence[str], here: settings.Settings) -> int:
    now = suppression_list.read_suppression_list(here.suppression_list)
    missing = set(users) - now.intersection(users)
    if missing:
        print(f"error: not forgotten: {', '.join(sorted(missing))}; nothing was changed", file=sys.stderr)
        return 2
    now.without_users(users).write(here.suppression_list)
    print(f"{', '.join(users)}: may come back; land their log to have it again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
