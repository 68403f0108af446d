"""Tables on object storage (`SEGUE_TABLES=s3://bucket/prefix`): what a path there can do, and how tables become files.

A folder of objects answers to pathlib's names (`/`, `exists`, `open`, `stat`, `unlink`). It has no rename and no lock, and
none is needed: an object is there whole or not at all, and who reads one that is replaced meanwhile gets an error, not a
mixture. Marts are read as copies on this machine, which are fetched when the objects are others (by ETag), and by Spark so is
the landing zone. The address of the server and the credentials come from AWS's own chain: `AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID`, `~/.aws`, …

Where tables are on a disk, everything here does what pathlib does. Knows nothing about what the tables hold.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from config import settings

if TYPE_CHECKING:
    import duckdb

MAX_FETCH_ATTEMPTS = 5
"""So often a copy is begun again whose object is replaced meanwhile."""


class StorageError(RuntimeError):
    """Object storage does not do what is asked; the message names the address, the cause and the remedy."""


def is_remote(path: Path) -> bool:
    """Whether a path is on object storage."""
    return str(path).startswith(settings.OBJECT_STORE_SCHEME)


def list_files(under: Path, pattern: str) -> list[Path]:
    """Files below a folder by a glob of pathlib's without `**`, sorted; on object storage in one listing."""
    if not is_remote(under):
        return sorted(under.glob(pattern))
    depth = len(PurePosixPath(pattern).parts)
    keys = [PurePosixPath(key) for key in _etags(under, re.split(r"[*?[]", pattern)[0])]
    return [under / str(key) for key in sorted(keys) if len(key.parts) == depth and key.match(pattern)]


def write(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all, and stays there when this returns."""
    if is_remote(path):
        with _storage_errors(path):
            _filesystem(path).pipe_file(_key(path), content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def open_arrow_source(path: Path) -> Any:
    """What Arrow reads a file from: the path itself, or the object opened."""
    if not is_remote(path):
        return path
    with _storage_errors(path):
        return _filesystem(path).open(_key(path), "rb")


def upload(file: Path, path: Path) -> None:
    """Uploads a file of this machine to object storage, where it is seen when it is whole."""
    with _storage_errors(path):
        _filesystem(path).put_file(str(file), _key(path))


def connect_duckdb(under: Path, **options: Any) -> duckdb.DuckDBPyConnection:
    """A new DuckDB connection that reads `under`, wherever it is.

    It is for reading: DuckDB closes what it could not write to its end, and half a table would take the place of a whole one.
    """
    import duckdb

    made = duckdb.connect(**options)
    if is_remote(under):
        made.register_filesystem(_filesystem(under))
    return made


def fetch_marts(here: settings.Settings) -> Path:
    """The folder of the published marts on this machine; on object storage, of copies that are up to date.

    Raises:
        StorageError: they cannot be fetched.
    """
    if not is_remote(here.marts):
        return here.marts
    with _locked_cache(here, "marts") as cache:
        _synchronize(here.marts, cache)
    return cache


def fetch_landing(here: settings.Settings) -> Path:
    """The landing zone as the home's engine reads it: on object storage DuckDB reads the objects themselves, Spark copies
    on this machine, which are those of now when this returns.

    Raises:
        StorageError: they cannot be fetched.
    """
    if not is_remote(here.landing):
        return here.landing
    if here.engine != "spark":
        # Whoever is forgotten would stay in copies that nobody renews.
        shutil.rmtree(here.home / "cache" / "landing", ignore_errors=True)
        return here.landing
    with _locked_cache(here, "landing") as cache:
        _synchronize(here.landing, cache)
    return cache


def fetch_mart(here: settings.Settings, address: str) -> Path:
    """One published mart, by its address, as `marts` has it. It need not exist."""
    path = here.marts / PurePosixPath(address).name
    with _locked_cache(here, "marts") as cache:
        if etag := _etags(path).get("."):
            _fetch(path, cache / path.name, etag)
        else:
            (cache / path.name).unlink(missing_ok=True)
        return cache / path.name


def is_mart(here: settings.Settings, address: str) -> bool:
    """Whether an address is that of one of our marts on object storage."""
    return bool(here.tables_url) and address.startswith(f"{here.marts}/")


def check_bucket_access(path: Path) -> None:
    """Asks for the bucket of a path, before much is done for it.

    Raises:
        StorageError: it is not there, does not answer or lets nobody in.
    """
    if is_remote(path):
        bucket = _key(path).split("/")[0]
        with _storage_errors(path):
            _filesystem(path).call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)


def is_versioned(path: Path) -> bool:
    """Whether the bucket of a path still has what was overwritten or deleted there, or would keep it from now on.

    Raises:
        StorageError: the bucket does not say.
    """
    if not is_remote(path):
        return False
    bucket, _, prefix = _key(path).partition("/")
    with _storage_errors(path):
        objects = _filesystem(path)
        status = objects.call_s3("get_bucket_versioning", Bucket=bucket).get("Status")
        if status != "Suspended":
            return status is not None
        more: dict[str, str] = {}
        while True:
            page = objects.call_s3("list_object_versions", Bucket=bucket, Prefix=prefix, **more)
            if page.get("DeleteMarkers") or any(not one["IsLatest"] for one in page.get("Versions", ())):
                return True
            if not page.get("IsTruncated"):
                return False
            more = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}


def _filesystem(path: Path) -> Any:
    return path.fs  # type: ignore[attr-defined] # `folder` made it


def _key(path: Path) -> str:
    """`bucket/prefix/…`."""
    return str(path).removeprefix(settings.OBJECT_STORE_SCHEME)


@contextmanager
def _locked_cache(here: settings.Settings, tables: str) -> Iterator[Path]:
    """Where the copies of `marts` or `landing` lie; one process at a time renews them, others may read."""
    cache = here.home / "cache" / tables
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache


def _synchronize(under: Path, cache: Path) -> None:
    """Makes the Parquet files below `cache` those that are below a folder of object storage."""
    etags = _etags(under)
    for name, etag in etags.items():
        _fetch(under / name, cache / name, etag)
    for copy in cache.rglob("*.parquet"):
        if str(copy.relative_to(cache)) not in etags:
            copy.unlink()
            _etag_file(copy).unlink(missing_ok=True)


def _etag_file(copy: Path) -> Path:
    """What says of which ETag a copy is."""
    return copy.with_name(f".{copy.name}.etag")


def _etags(under: Path, beginning: str = "") -> dict[str, str]:
    """ETag of every object below a folder by its path there, which begins so; "." is the object of that very name."""
    with _storage_errors(under):
        found = _filesystem(under).find(_key(under), prefix=beginning, detail=True)
    return {str(PurePosixPath(key).relative_to(_key(under))): one["ETag"] for key, one in found.items()}


def _fetch(path: Path, copy: Path, etag: str) -> None:
    """Makes `copy` the object's content and time, if it is not yet. A reader of the old copy keeps what it has opened."""
    note, draft = _etag_file(copy), copy.with_name(f".{copy.name}.fetching")
    copy.parent.mkdir(parents=True, exist_ok=True)
    if copy.exists() and note.exists() and note.read_text() == etag:
        return
    for tries_left in reversed(range(MAX_FETCH_ATTEMPTS)):
        try:
            with _storage_errors(path), _filesystem(path).open(_key(path), "rb") as source:
                etag, written_at = source.details["ETag"], source.details["LastModified"].timestamp()
                with draft.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 23)
                    file.flush()
                    os.fsync(file.fileno())
            break
        except _ObjectReplaced as error:
            if not tries_left:
                raise StorageError(
                    f"{path} is replaced again and again; run this again when it is published"
                ) from error
    os.utime(draft, (written_at, written_at))
    # Between the two a copy has no note: killed there, it is fetched again.
    note.unlink(missing_ok=True)
    draft.replace(copy)
    note.write_text(etag)


class _ObjectReplaced(Exception):
    """An object became another one while it was read."""


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """What goes wrong on the way, in words."""
    from botocore.exceptions import BotoCoreError, ClientError
    from s3fs.utils import FileExpired

    try:
        yield
    except FileExpired as error:
        raise _ObjectReplaced from error
    except (OSError, BotoCoreError, ClientError) as error:
        raise StorageError(
            f"{path} is not to be had ({error or type(error).__name__}); is the bucket there, is AWS_ENDPOINT_URL (now "
            f"{os.environ.get('AWS_ENDPOINT_URL')!r}) the server's, and may AWS's credentials read and write?"
        ) from error
