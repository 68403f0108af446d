"""`python -m privacy.erase USER ...`: erase all data of these users from SEGUE_HOME, the tables and the online store.

`python -m privacy.erase --suppressed` erases remaining data of users who were erased before, for instance after a restore or
after an erasure that failed.
The recommender keeps running. The command is idempotent, and an interrupted run is completed by running it again. The users
are first added to the suppression list, so that neither landing, nor the recommender, nor an interrupted run can add data of
them again. Exit code 0: done. 2: failed, or an unknown user. 3: done, but a release must be signed again, because it was changed
and the private key is not here or the release had no valid signature. 4: nothing of the users can be read any more, but bytes
of them are still in the log of a database, which a process keeps reading. Limits: docs/deployment.md.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from config import settings
from config.command_line import report_errors
from event_store.opened import open_event_store, open_serving_state
from event_store.store import ErasureUnfinished, StoreUnavailable
from ingestion.landing_zone import landing_lock
from privacy import (
    ErasureError,
    UnreadableFile,
    online_store,
    parquet,
    print_progress,
    recommender_files,
    releases,
    tables,
)
from storage import json_lines, object_store, suppression_list
from storage.errors import StorageError
from storage.file_lock import file_lock, held_locks
from storage.suppression_list import UNFINISHED_EXIT_CODE, UNSIGNED_EXIT_CODE, SuppressionList, SuppressionListError
from storage.user_data import (
    PARQUET_FOLDERS,
    USER_COLUMN,
    list_parquet_files,
    list_user_tables,
)

ERASE_LOCK = "forget"

ErasedRows = dict[str, Counter[str]]
"""Store ▸ number of erased rows per user."""


def erase_users(user_ids: Sequence[str], here: settings.Settings) -> ErasedRows:
    """Add the users to the suppression list and erase them from every store; returns the number of erased rows.

    The order makes it safe while everything runs: the suppression list first, marts after their sources, the online store
    after the marts that it is materialized from. The ids are kept in a file until all steps are completed, because the sources
    in which a user is found are erased first.

    Raises:
        ErasureError: A step failed; completed steps stay completed. Or the bucket of the tables is versioned; then nothing
            is changed.
        SuppressionListError: The suppression list is damaged.
        StorageError: Object storage failed.
        StoreUnavailable: A store of the recommender cannot be written.
        ErasureUnfinished: Everything else is done, but a process keeps reading bytes of the users in the log of a database.
    """
    if object_store.is_versioned(here.tables):
        raise ErasureError(
            f"{here.tables} is in a bucket that keeps versions, so that overwritten data can be restored: suspend "
            "versioning, delete all versions except the newest, and run this again"
        )
    listed = suppression_list.read_suppression_list(here.suppression_list)
    # First, because a listed user whose erasure is not unfinished counts as erased.
    suppression_list.add_unfinished(here.home, user_ids)
    _replace_list(listed.with_users(user_ids), here)
    print_progress("recommender …")
    counts: ErasedRows
    counts, unfinished = recommender_files.erase_users(user_ids, here)
    are_builds_removed = _erase_tables(user_ids, here, counts)
    print_progress("online store …")
    counts |= online_store.erase_users(user_ids, here)
    counts["feature log"] = recommender_files.erase_feature_log(user_ids, here)
    if are_builds_removed:
        tables.remove_sequence_cache(here)
        tables.stale_builds(here).unlink(missing_ok=True)
    counts["releases"] = releases.erase_users(user_ids, here)
    unreadable: list[str] = []
    for name in PARQUET_FOLDERS:
        try:
            counts[name] = parquet.erase_from_files(list_parquet_files(here, name), user_ids, name)
        except UnreadableFile as error:  # possibly of a running task; it must not keep the rest from being erased
            unreadable.append(str(error))
    if not are_builds_removed and any(counts.values()):
        # The tables no longer have the user, but the warehouse may have deleted rows in free pages.
        with tables.build_lock(here):
            tables.remove_build_files(here)
        tables.remove_sequence_cache(here)
    if unreadable:
        raise UnreadableFile("; ".join([*unreadable, *unfinished]))
    if unfinished:
        raise ErasureUnfinished("; ".join(unfinished))
    suppression_list.remove_unfinished(here.home, user_ids)
    return counts


def _replace_list(users: SuppressionList, here: settings.Settings) -> None:
    """Write the suppression list and copy it into the stores of the recommender."""
    users.write(here.suppression_list)
    recommender_files.suppress_users(users, here)


def _erase_tables(user_ids: Sequence[str], here: settings.Settings, counts: ErasedRows) -> bool:
    """Erase the users from landing zone and marts, and delete what was built from their rows; returns whether it was deleted.

    It is kept if nothing of the users was found so far, for its next build takes long: requests to erase users without data
    must not stop the pipeline.
    """
    with landing_lock(here.home), tables.build_lock(here):
        stale = tables.stale_builds(here)
        was_interrupted = stale.exists()
        stale.touch()
        counts["landed events"] = tables.erase_landed_events(user_ids, here)
        quarantined = object_store.list_files(here.quarantine, "*/dt=*/*.parquet")
        counts["quarantine"] = parquet.erase_from_files(quarantined, user_ids, "quarantine")
        counts["marts"] = tables.erase_marts(user_ids, here)
        if was_interrupted or any(counts.values()) or tables.has_built_rows(user_ids, here):
            tables.remove_build_files(here)
            return True
        stale.unlink()
        return False


@report_errors(ErasureUnfinished, code=UNFINISHED_EXIT_CODE)
@report_errors(settings.SettingError, SuppressionListError, ErasureError, StorageError, StoreUnavailable)
def main(arguments: list[str] | None = None) -> int:
    """Run the command: prints the number of erased rows per store; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m privacy.erase", description=__doc__)
    parser.add_argument("users", nargs="*", metavar="USER", help="user ids as in the log")
    parser.add_argument(
        "--suppressed",
        action="store_true",
        help="instead of USER: all users in the suppression list whose data is found",
    )
    parser.add_argument("--anyway", action="store_true", help="also suppress users without data, in case data arrives")
    parser.add_argument(
        "--lift", action="store_true", help="remove users from the suppression list; erased data is not restored"
    )
    options = parser.parse_args(arguments)
    users = list(dict.fromkeys(options.users))
    if not all(users):
        parser.error("a user id must not be empty")
    if bool(users) == options.suppressed:
        parser.error("give the users to erase, or --suppressed")
    if options.lift and (options.suppressed or options.anyway):
        parser.error("--lift takes users and no other option")
    here = settings.load_settings()
    with file_lock(
        here.home / "run" / f"{ERASE_LOCK}.lock", waiting="waiting: another python -m privacy.erase is running"
    ):
        if options.suppressed:
            return _erase_suppressed(here)
        return _lift_suppression(users, here) if options.lift else _run_erasure(users, here, options.anyway)


def _erase_suppressed(here: settings.Settings) -> int:
    """Erase users of the suppression list; their ids are not printed, because the list does not contain them."""
    unfinished = suppression_list.read_unfinished(here.home)
    suppressed = suppression_list.read_suppression_list(here.suppression_list)
    recommender_files.suppress_users(suppressed, here)  # the list may be newer than restored stores
    users = {*find_suppressed_users(here), *suppressed.intersection(unfinished)}
    counts = erase_users(sorted(users), here) if users else {}
    if counts:
        print(_format_counts(counts))
    print(f"{len(sum(counts.values(), Counter()))} erased users had data here")
    return _exit_code(here) if users else 0


def _run_erasure(users: Sequence[str], here: settings.Settings, keep_unknown: bool) -> int:
    suppressed_before = suppression_list.read_suppression_list(here.suppression_list).intersection(users)
    counts = erase_users(users, here)
    print(_format_counts(counts))
    rows_of: Counter[str] = sum(counts.values(), Counter())
    for user in users:
        if rows_of[user] or keep_unknown:
            print(f"{user}: erased, {rows_of[user]:,} rows")
        elif user in suppressed_before:
            print(f"{user}: already erased, no data found")
    if tasks := [task for task in held_locks(here.home / "run") if task != ERASE_LOCK]:
        print(
            f"run this again when these tasks have ended, they may write data that they have read: {', '.join(tasks)}"
        )
    unknown = [user for user in users if not rows_of[user] and user not in suppressed_before and not keep_unknown]
    if not unknown:
        return _exit_code(here)
    _replace_list(suppression_list.read_suppression_list(here.suppression_list).without_users(unknown), here)
    print(
        f"error: no data of {', '.join(unknown)} in {here.home}{here.tables_url and f' and {here.tables_url}'}; check the "
        "spelling, or use --anyway to suppress data that arrives later",
        file=sys.stderr,
    )
    return 2


def _exit_code(here: settings.Settings) -> int:
    return UNSIGNED_EXIT_CODE if releases.unsigned_releases(here) else 0


def _lift_suppression(users: Sequence[str], here: settings.Settings) -> int:
    suppressed = suppression_list.read_suppression_list(here.suppression_list)
    missing = set(users) - suppressed.intersection(users)
    if missing:
        print(f"error: not suppressed: {', '.join(sorted(missing))}; nothing was changed", file=sys.stderr)
        return 2
    _replace_list(suppressed.without_users(users), here)
    suppression_list.remove_unfinished(here.home, users)
    print(f"{', '.join(users)}: no longer suppressed; land the log again to restore the data")
    return 0


def _format_counts(counts: ErasedRows) -> str:
    rows = [(store, f"{sum(users.values()):,}") for store, users in counts.items()]
    return "\n".join(f"  {store:<24} {number:>12}" for store, number in [("store", "rows erased"), *rows])


def find_suppressed_users(here: settings.Settings) -> list[str]:
    """Sorted ids of suppressed users in tables, logs and state of a home.

    Raises:
        SuppressionListError: The list is damaged.
        StorageError: Object storage failed.
        FileBusy, UnreadableFile, StoreUnavailable: A SQLite file is locked or damaged.
    """
    suppressed = suppression_list.read_suppression_list(here.suppression_list)
    if not suppressed:
        return []
    found: set[str] = set()
    for ids in _user_ids(here):
        found |= suppressed.intersection(ids)
    return sorted(found)


def _user_ids(here: settings.Settings) -> Iterator[set[str]]:
    for _, path in list_user_tables(here):
        yield from _ids_of_table(path)
    for open_store in (open_event_store, open_serving_state):
        with closing(open_store(here)) as store:
            yield store.users()
    for path in sorted(here.feature_log.rglob("dt=*/*.jsonl")):
        rows = json_lines.read_rows(path)
        yield {row[USER_COLUMN] for row in rows if isinstance(row.get(USER_COLUMN), str)}
    try:
        yield from tables.cached_users(here)
    except (ValueError, OSError) as error:
        print_progress(f"cached sequences are not searched: {error}")
    yield online_store.sqlite_users(here)


def _ids_of_table(path: Path) -> Iterator[set[str]]:
    try:
        for rows in parquet.read_user_columns(path):
            if USER_COLUMN in rows.column_names:
                yield {str(user) for user in rows[USER_COLUMN].unique().to_pylist() if user is not None}
    except UnreadableFile:
        print_progress(f"{path} is no readable Parquet file and is not searched")


if __name__ == "__main__":
    sys.exit(main())
