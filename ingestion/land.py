"""`python -m ingestion.land PATH`: land the listening logs and catalog files of a path.

`python -m ingestion.land --events`: land what the recommender recorded (`recorded.py`).
`python -m ingestion.land --server`: land the library of the music server (`music_server.py`).

Landing is idempotent: landing the same files again changes nothing, and an interrupted landing is completed by running
the command again.

Recognizes files that cannot be landed, so that the error message can explain why.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from config import settings
from config.command_line import report_errors
from event_store.opened import open_event_store, open_serving_state
from event_store.store import StoreUnavailable
from ingestion import source_files
from ingestion.landing_zone import CLOCK_SKEW, Landing, LandingCounts, landing_lock
from ingestion.readers import READERS
from ingestion.readers.parsing import column_mapping
from ingestion.readers.parsing.reader import MediaFolders, ReadContext
from ingestion.recorded import land_recorded
from ingestion.source_files import Member, SourceError
from media import track_description
from storage import object_store, suppression_list
from storage.errors import StorageError
from storage.media_paths import MediaRootError
from storage.music_server import LIBRARY_FILE, MusicServerError, save_library
from storage.suppression_list import SuppressionListError

SIMULATION_FILES = ("truth", "world.json")  # files of a simulation that are not landed
TABLE_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def land(
    path: Path,
    home: Path,
    user_id: str | None = None,
    now: datetime | None = None,
    tables: Path | None = None,
    media_root: Path | None = None,
) -> dict[str, LandingCounts]:
    """Land a file, folder or zip; return the row counts by format. Rows of erased users are dropped.

    Events later than `CLOCK_SKEW` from now are quarantined.

    Args:
        path: File, folder or zip.
        home: Home folder.
        user_id: User id of a personal export; None: the name of the path.
        now: Time of the landing; None: the current time.
        tables: Root of the landing zone; None: `home`.
        media_root: Folder that media paths of logs are relative to; None: the landed folder.

    Raises:
        SourceError: The path holds no known format, a damaged file, or too many lines that cannot be parsed; the message
            names the file and the remedy.
        SuppressionListError: The suppression list is damaged.
        StorageError: Object storage is not available.
    """
    path, now = path.resolve(), now or datetime.now(UTC)
    files = source_files.list_members(path)
    by_format = {name: selected for name, reader in READERS.items() if (selected := reader.select_files(files))}
    ignored = _ignored_files(files, by_format)
    if not by_format:
        raise SourceError(explain_unsupported(files) or _unknown_format_message(path, ignored))
    if ignored:
        print(f"ignored files of unknown format: {_format_files(ignored)}", file=sys.stderr)
    counts: dict[str, LandingCounts] = {}
    latest, tables, file_name = now + CLOCK_SKEW, tables or home, source_files.printable_name(path.name)
    media = MediaFolders(home / "media", path if path.is_dir() else path.parent, media_root)
    with landing_lock(home):
        suppressed = suppression_list.read_suppression_list(home / "suppression_list.json")
        source = "forgotten" if suppressed.intersection((_source_name(path), file_name)) else file_name
        for name, selected in by_format.items():
            reader, scratch = READERS[name], home / "landing" / ".scratch" / name
            scratch.mkdir(parents=True)
            source_at = min(now, max(one.written_at for one in selected))  # a clock that was wrong must not win forever
            landing = Landing(
                tables, reader.period, now, latest, suppressed, scratch, media.landed_prefix, name, source_at
            )
            size = sum(member.size for member in selected)
            with tqdm(total=size, unit="B", unit_scale=True, desc=name, disable=None, mininterval=0.5) as bar:
                context = ReadContext(scratch, bar.update, _source_name(path), media, user_id, latest)
                for rows in reader.read(selected, context):
                    landing.add(rows)
                    bar.set_postfix_str(f"{landing.counts.read:,} rows", refresh=False)
                landing.check_unparsable_share(path.name)
                counts[name] = landing.finish()
            landing.record(source_files.fingerprint(selected), source, name, reader.split)
    return counts


def _source_name(path: Path) -> str:
    """Name of the landed path, of a file without its extension; a dot in the name of a folder begins no extension."""
    return source_files.printable_name(path.name if path.is_dir() else path.stem)


def _ignored_files(files: list[Member], by_format: dict[str, list[Member]]) -> list[Member]:
    selected = {member.name for members in by_format.values() for member in members}
    selected.add(f"{track_description.FOLDER}/{track_description.FILE}")
    return [member for member in files if member.name not in selected and member.parts[0] not in SIMULATION_FILES]


def _format_files(files: list[Member]) -> str:
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    return ", ".join(member.name for member in files[:5]) + more


def _unknown_format_message(path: Path, files: list[Member]) -> str:
    content = f"it holds {_format_files(files)}" if files else "it is empty"
    return (
        f"{path} holds none of the supported formats ({', '.join(READERS)}): {content}; "
        "see docs/data.md for their files"
    )


@report_errors(
    SourceError,
    MusicServerError,
    SuppressionListError,
    StorageError,
    MediaRootError,
    StoreUnavailable,
    settings.SettingError,
)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; print read, landed, duplicate and quarantined rows per format; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ingestion.land", description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", help="file, folder or zip of listening logs")
    parser.add_argument("--events", action="store_true", help="land what the recommender recorded instead")
    parser.add_argument("--server", action="store_true", help="land the library of the music server instead")
    parser.add_argument("--user", default=None, help="user id for a personal export (default: the name of the path)")
    options = parser.parse_args(arguments)
    if options.events + options.server + (options.path is not None) != 1:
        parser.error("give a path, --events or --server")
    here = settings.load_settings()
    object_store.check_bucket_access(here.tables)
    if options.events:
        with closing(open_event_store(here)) as events, closing(open_serving_state(here)) as state:
            counts = land_recorded(events, state, here.home, here.tables)
    else:
        if options.server:
            options.path = save_library(settings.load_music_server(), here.home / LIBRARY_FILE)
        landed = land(options.path, here.home, options.user, tables=here.tables, media_root=here.media_root)
        counts = list(landed.items())
    for name, count in counts:
        print(
            f"{name}: {count.read:,} rows of events and catalog read, {count.landed:,} landed, "
            f"{count.duplicate:,} duplicate, {count.quarantined:,} quarantined"
            + (f", {count.suppressed:,} of erased users" if count.suppressed else "")
        )
    first_rejected = next((count.first_rejected for _, count in counts if count.quarantined), None)
    if first_rejected:
        print(f"quarantined rows and their reasons: {here.quarantine}; the first is {first_rejected}")
    if options.events:
        print("all recorded events and responses are landed")
    elif not any(count.landed + count.duplicate + count.suppressed for _, count in counts):
        print(f"error: {options.path} has no valid row; fix the log or land another one", file=sys.stderr)
        return 2
    return 0


def explain_unsupported(files: list[Member]) -> str | None:
    """Why the files cannot be landed, from the first one that is recognized; None if none is."""
    if inner := next((member.name for member in files if member.file.endswith(".zip")), None):
        return f"{inner} is a zip within a zip; unpack the outer one and land its folder"
    if table := next((member.name for member in files if member.file.endswith(TABLE_SUFFIXES)), None):
        return (
            f"the columns of {table} are unknown; write a {column_mapping.MAPPING_FILE} in the same folder (see "
            f"{column_mapping.GUIDE}) and land the folder"
        )
    return None


if __name__ == "__main__":
    sys.exit(main())
