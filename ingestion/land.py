"""`python -m ingestion.land PATH`: lands whatever listening logs and catalogue a path holds, once.

A second landing of the same files changes nothing; a killed one is finished by running it again.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tqdm import tqdm

from config import settings
from ingestion import sources
from ingestion.landing import Landing, LandingCounts, landing_lock
from ingestion.readers import READERS, unsupported_formats
from ingestion.readers.parsing.reader import ReadContext
from ingestion.sources import Member, SourceError
from ingestion.validation import LATEST
from storage import object_store, suppression_list
from storage.object_store import StorageError
from storage.suppression_list import SuppressionList, SuppressionListError

CLOCK_SKEW = timedelta(days=1)
HOST_CLOCK_SKEW = timedelta(hours=1)  # of machines that are ours
SIMULATION_FILES = ("truth", "world.json")  # what lies beside the log of a simulated world


def land(
    path: Path, home: Path, user_id: str | None = None, now: datetime | None = None, tables: Path | None = None
) -> dict[str, LandingCounts]:
    """Lands a file, folder or zip below `tables` (None: `home`); what became of its rows, by format.

    `listener` is the user id for a personal export (default: the name of the path). The recommender's own event log,
    which is `home/live` or lies below it, is landed as live events: it may be missing or empty, and its events may not
    lie in the future. Of the whole `home/live` only files are read that were written to since it landed the last time.
    Rows of users who were forgotten are passed over.

    Raises:
        SourceError: the path holds no known format or a damaged file; the message names the file and the remedy.
        ForgottenError: the file of forgotten users is damaged.
        StorageError: object storage does not do its part.
    """
    path, now = path.resolve(), now or datetime.now(UTC)
    is_live = _is_live(path, home)
    files = [] if path == home.resolve() / "live" and not path.exists() else sources.list_members(path)
    found = {name: claimed for name, reader in READERS.items() if (claimed := reader.select_files(files))}
    ignored = _ignored_files(files, found)
    if torn := unsupported_formats.find_truncated(ignored):
        raise SourceError(torn)
    if not found and not is_live:
        raise SourceError(unsupported_formats.explain_unsupported(files) or _unknown_format_message(path, ignored))
    if ignored and found:
        print(f"not read, no known format: {_format_files(ignored)}", file=sys.stderr)
    counts: dict[str, LandingCounts] = {}
    tables = tables or home
    with landing_lock(home):
        gone = suppression_list.read_suppression_list(home / "forgotten.json")
        for name, claimed in found.items():
            counts[name] = _land_format(name, claimed, path, home, user_id, now, is_live, gone, tables)
        if not found:
            Landing(tables, "day", now).finish()
    return counts


def _is_live(path: Path, home: Path) -> bool:
    live = home.resolve() / "live"
    return live in (path, *path.parents)


def _land_format(
    name: str,
    files: list[Member],
    path: Path,
    home: Path,
    listener: str | None,
    now: datetime,
    is_live: bool,
    gone: SuppressionList,
    tables: Path,
) -> LandingCounts:
    reader = READERS[name]
    scratch = home / "landing" / ".scratch" / name
    scratch.mkdir(parents=True)
    # Our own and simulated logs may be dated as they like; anything a person really heard was heard by now.
    latest = now + CLOCK_SKEW if is_live or reader.split == "user_time" else LATEST
    landing = Landing(tables, reader.period, now, latest, gone, scratch)
    if path == home.resolve() / "live" and (last := landing.last_live_landed_at(path.name, name)):
        files = [member for member in files if member.written_at > last - HOST_CLOCK_SKEW]
    landing_id = sources.content_digest(files)
    size = sum(member.size for member in files)
    with tqdm(total=size, unit="B", unit_scale=True, desc=name, disable=None, mininterval=0.5) as bar:
        for rows in reader.read(files, ReadContext(scratch, bar.update, path.stem, listener)):
            landing.add(rows)
            bar.set_postfix_str(f"{landing.counts.read:,} rows", refresh=False)
        counts = landing.finish()
    source = path.name if path.stem not in gone and path.name not in gone else "forgotten"
    landing.record(landing_id, source, name, None if is_live else reader.split)
    return counts


def _ignored_files(files: list[Member], found: dict[str, list[Member]]) -> list[Member]:
    claimed = {member.name for members in found.values() for member in members}
    return [member for member in files if member.name not in claimed and member.parts[0] not in SIMULATION_FILES]


def _format_files(files: list[Member]) -> str:
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    return ", ".join(member.name for member in files[:5]) + more


def _unknown_format_message(path: Path, files: list[Member]) -> str:
    there = f"there is only {_format_files(files)}" if files else "it is empty"
    return (
        f"{path} holds none of the formats that can be landed ({', '.join(READERS)}): {there}; "
        "ingestion/readers/README.md says what each looks like"
    )


def _has_usable_rows(counts: LandingCounts) -> bool:
    return counts.landed + counts.duplicate + counts.suppressed > 0


def main(arguments: list[str] | None = None) -> int:
    """The command: prints read, landed, duplicate and quarantined rows of each format."""
    parser = argparse.ArgumentParser(prog="python -m ingestion.land", description=__doc__)
    parser.add_argument("path", type=Path, help="file, folder or zip of listening logs")
    parser.add_argument("--home", type=Path, default=None, help="where Segue writes (default: SEGUE_HOME)")
    parser.add_argument("--user", default=None, help="user id for a personal export (default: the name of the path)")
    options = parser.parse_args(arguments)
    try:
        here = settings.load_settings()
        home = options.home or here.home
        tables = here.tables if here.tables_url else home
        object_store.check_bucket_access(tables)
        counts = land(options.path, home, options.user, tables=tables)
    except (SourceError, SuppressionListError, StorageError, settings.SettingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, count in counts.items():
        print(
            f"{name}: {count.read:,} rows of events and catalogue read, {count.landed:,} landed, "
            f"{count.duplicate:,} duplicate, {count.quarantined:,} quarantined"
            + (f", {count.suppressed:,} of forgotten users" if count.suppressed else "")
        )
    broken = next((count.first_rejected for count in counts.values() if count.quarantined), None)
    if broken:
        print(f"quarantined rows and their reasons: {tables / 'quarantine'}; the first is {broken}")
    if not counts:
        print(f"{options.path}: no events yet")
    elif not _is_live(options.path.resolve(), home) and not any(map(_has_usable_rows, counts.values())):
        print(
            f"error: {options.path} has no row that can be landed; land another log, or a mended one", file=sys.stderr
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
