"""Access to tables on disk or on object storage (`SEGUE_TABLES=s3://bucket/prefix`).

Remote folders support pathlib's interface (`/`, `exists`, `open`, `stat`, `unlink`) but neither rename nor locks. Both
are unnecessary: writing an object is atomic, and reading an object that is replaced meanwhile fails instead of
returning mixed content. Marts are read from local copies, which are refreshed when their ETag changes; Spark also reads
the landing zone from local copies. Server and credentials come from AWS's standard configuration: `AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID`, `~/.aws`, …

For local folders all functions use pathlib.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from config import settings
from storage.errors import StorageError
from storage.file_lock import file_lock
from storage.files import atomic_write, open_draft

if TYPE_CHECKING:
    import duckdb


def is_remote(path: Path) -> bool:
    """Whether a path is on object storage."""
    return str(path).startswith(settings.OBJECT_STORE_SCHEME)


def list_files(under: Path, pattern: str) -> list[Path]:
    """Sorted files of a folder that match a glob pattern without `**`; takes a single listing on object storage."""
    if not is_remote(under):
        return sorted(under.glob(pattern))
    depth = len(PurePosixPath(pattern).parts)
    keys = [PurePosixPath(key) for key in _etags(under, re.split(r"[*?[]", pattern)[0])]
    return [under / str(key) for key in sorted(keys) if len(key.parts) == depth and key.match(pattern)]


def write(path: Path, content: bytes) -> None:
    """Write a file atomically and durably."""
    if is_remote(path):
        with _storage_errors(path):
            _filesystem(path).pipe_file(_key(path), content)
        return
    atomic_write(path, content, is_durable=True)


def open_arrow_source(path: Path) -> Any:
    """The path of a local file, or the opened object, as input for Arrow's readers."""
    if not is_remote(path):
        return path
    with _storage_errors(path):
        return _filesystem(path).open(_key(path), "rb")


def upload(file: Path, path: Path) -> None:
    """Upload a local file to object storage atomically."""
    with _storage_errors(path):
        _filesystem(path).put_file(str(file), _key(path))


def connect_duckdb(under: Path, **options: Any) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB connection that can read files below `under`, whether local or remote.

    Do not write with it: after an error DuckDB closes a partially written object, which would replace a complete table.
    """
    import duckdb

    connection = duckdb.connect(**options)
    if is_remote(under):
        connection.register_filesystem(_filesystem(under))
        # DuckDB holds the interpreter lock while it binds a relation, and another thread would wait for it to read a file.
        connection.execute("set threads = 1")
    return connection


def fetch_marts(here: settings.Settings) -> Path:
    """Return a local folder with the published marts; remote marts are copied to it if they have changed.

    Raises:
        StorageError: The marts cannot be fetched.
    """
    return _local_copy(here.marts, here.home / "cache" / "marts") if is_remote(here.marts) else here.marts


def fetch_landing(here: settings.Settings) -> Path:
    """Return the landing zone that the engine reads: the folder itself for DuckDB, an up-to-date local copy for Spark.

    Raises:
        StorageError: The landing zone cannot be fetched.
    """
    if not is_remote(here.landing):
        return here.landing
    if here.engine != "spark":
        # Copies of an earlier Spark installation would no longer be updated and could retain data of erased users.
        shutil.rmtree(here.home / "cache" / "landing", ignore_errors=True)
        return here.landing
    return _local_copy(here.landing, here.home / "cache" / "landing")


def check_bucket_access(path: Path) -> None:
    """Check that the bucket of a path is accessible, before starting expensive work.

    Raises:
        StorageError: The bucket does not exist, does not respond or denies access.
    """
    if is_remote(path):
        bucket = _key(path).split("/")[0]
        with _storage_errors(path):
            _filesystem(path).call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)


def is_versioned(path: Path) -> bool:
    """Whether the bucket keeps, or has kept, old versions of objects that are overwritten or deleted.

    Raises:
        StorageError: The bucket does not report its versioning.
    """
    if not is_remote(path):
        return False
    bucket, _, prefix = _key(path).partition("/")
    with _storage_errors(path):
        objects = _filesystem(path)
        status = objects.call_s3("get_bucket_versioning", Bucket=bucket).get("Status")
        if status != "Suspended":
            return status is not None
        markers: dict[str, str] = {}
        while True:
            page = objects.call_s3("list_object_versions", Bucket=bucket, Prefix=prefix, **markers)
            if page.get("DeleteMarkers") or any(not version["IsLatest"] for version in page.get("Versions", ())):
                return True
            if not page.get("IsTruncated"):
                return False
            markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}


def _filesystem(path: Path) -> Any:
    return path.fs  # type: ignore[attr-defined] # a UPath from `settings.remote_folder`


def _key(path: Path) -> str:
    """Key of an object including its bucket: `bucket/prefix/…`."""
    return str(path).removeprefix(settings.OBJECT_STORE_SCHEME)


def _local_copy(under: Path, cache: Path) -> Path:
    """Make the Parquet files below `cache` equal to those below a remote folder, one process at a time; return `cache`."""
    with file_lock(cache / ".lock"):
        etags = _etags(under)
        for name, etag in etags.items():
            _fetch(under / name, cache / name, etag)
        for copy in cache.rglob("*.parquet"):
            if str(copy.relative_to(cache)) not in etags:
                copy.unlink()
                _etag_file(copy).unlink(missing_ok=True)
    return cache


def _etag_file(copy: Path) -> Path:
    """File with the ETag of a local copy."""
    return copy.with_name(f".{copy.name}.etag")


def _etags(under: Path, prefix: str = "") -> dict[str, str]:
    """ETags of the objects below a folder by relative path, optionally with a prefix; "." is the object `under`."""
    with _storage_errors(under):
        objects = _filesystem(under).find(_key(under), prefix=prefix, detail=True)
    return {str(PurePosixPath(key).relative_to(_key(under))): info["ETag"] for key, info in objects.items()}


def _fetch(path: Path, copy: Path, etag: str) -> None:
    """Copy the content and time of an object if its ETag has changed. Readers of the old copy can keep reading it."""
    etag_file = _etag_file(copy)
    if copy.exists() and etag_file.exists() and etag_file.read_text() == etag:
        return
    with (
        open_draft(copy, is_durable=True) as draft,
        _storage_errors(path),
        _filesystem(path).open(_key(path), "rb") as source,
    ):
        etag, written_at = source.details["ETag"], source.details["LastModified"].timestamp()
        with draft.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 23)
        os.utime(draft, (written_at, written_at))
        # A process killed before it has written the new ETag leaves a copy without one, which is fetched again.
        etag_file.unlink(missing_ok=True)
    etag_file.write_text(etag)


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """Convert exceptions of the storage client to `StorageError`."""
    from botocore.exceptions import BotoCoreError, ClientError
    from s3fs.utils import FileExpired

    try:
        yield
    except FileExpired as error:
        raise StorageError(f"{path} was replaced while it was read; run this again after publication") from error
    except (OSError, BotoCoreError, ClientError) as error:
        raise StorageError(
            f"cannot access {path} ({error or type(error).__name__}); check that the bucket exists, that AWS_ENDPOINT_URL "
            f"({os.environ.get('AWS_ENDPOINT_URL')!r}) is the server's URL, and that the AWS credentials may read and write"
        ) from error
