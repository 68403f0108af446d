"""Lists and opens the files of a source: a folder, a zip or a single file.

Zips are read in place. Sizes and compression ratios are limited (zip bombs), and links do not lead out of the source (path
traversal).
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from storage.media_paths import is_link_loop

MAX_MEMBER_BYTES = 1 << 30  # uncompressed size of one file of a zip; real exports stay below 20 MB
MAX_ZIP_BYTES = 8 << 30
MAX_MEMBERS = 100_000
MAX_COMPRESSION_RATIO = 200  # uncompressed by compressed size; JSON of listening logs reaches 30
RATIO_GRACE_BYTES = 1 << 16  # compressed sizes below this count as this, because small files may compress better
MAX_LINE_BYTES = 4 << 20  # longer lines are quarantined; a playlist of 100,000 ids has 4 MB
PEEK_BYTES = 64 << 10
READ_ERRORS = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""Exceptions that reading a truncated or damaged file raises."""
MEDIA_SUFFIXES = (
    *(".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".m3u", ".m3u8", ".xspf"),
    *(".jpg", ".jpeg", ".png", ".webp"),
)
"""Files of which a link out of the source is left out, with a reason, instead of being an error of the whole source."""
PARTIAL_DOWNLOAD_SUFFIXES = (".crdownload", ".part", ".partial", ".download", ".opdownload")
"""File suffixes of unfinished browser downloads."""


class SourceError(ValueError):
    """A source cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True)
class Member:
    """One readable file of a source."""

    name: str  # path below the source (POSIX, without `..`)
    size: int  # bytes; uncompressed for a file in a zip
    opener: Callable[[], IO[bytes]]
    written_at: datetime  # modification time; for a file in a zip, of the zip
    is_zipped: bool = False  # a file in a zip
    is_outside: bool = False  # a symbolic link of a music folder that leads out of it; it reads as an empty file

    @property
    def parts(self) -> tuple[str, ...]:
        """Components of the path."""
        return PurePosixPath(self.name).parts

    @property
    def file(self) -> str:
        """File name without folders."""
        return self.parts[-1]

    def open(self, report_progress: Callable[[int], object] = lambda _: None) -> IO[bytes]:
        """Open the file as a byte stream; `.gz` files are decompressed.

        Args:
            report_progress: Called with the number of (compressed) bytes of each read.

        Raises:
            SourceError: The file cannot be opened.
        """
        try:
            raw = self.opener()
        except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
            raise SourceError(
                f"{self.name} cannot be opened ({error}); check that it is readable and not encrypted"
            ) from error
        stream: IO[bytes] = io.BufferedReader(_CheckedReader(raw, lambda size, _: report_progress(size)), 1 << 20)
        return bound_expansion(gzip.open(stream), stream, self) if self.name.endswith(".gz") else stream  # type: ignore[arg-type]

    def read(self, report_progress: Callable[[int], object] = lambda _: None) -> bytes:
        """Return the content of the file.

        Raises:
            SourceError: The file is truncated, damaged or exceeds the size limit.
        """
        with self.open(report_progress) as stream:
            try:
                data = stream.read(MAX_MEMBER_BYTES + 1)
            except READ_ERRORS as error:
                raise SourceError(f"{self.name} is damaged ({error}); get the file again") from error
        if len(data) > MAX_MEMBER_BYTES:
            raise SourceError(
                f"{self.name} unpacks to more than {MAX_MEMBER_BYTES >> 20} MB; split it into smaller files"
            )
        return data

    def peek(self) -> bytes:
        """The first PEEK_BYTES bytes of the file, or as many as can be read, without a UTF-8 byte-order mark."""
        first = b""
        try:
            with self.open() as stream:
                while len(first) < PEEK_BYTES and (block := stream.read1(PEEK_BYTES - len(first))):  # type: ignore[attr-defined]
                    first += block
        except (*READ_ERRORS, SourceError):
            pass  # reading the whole file will report the error
        return first.removeprefix(codecs.BOM_UTF8)


class _CheckedReader(io.RawIOBase):
    """Stream that passes the size of each read and of all reads so far to a function, which may refuse to go on."""

    def __init__(self, stream: IO[bytes], check: Callable[[int, int], object]) -> None:
        self._stream, self._check, self.bytes_read = stream, check, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data: bytes = self._stream.read1(len(buffer))  # type: ignore[attr-defined]
        buffer[: len(data)] = data
        self.bytes_read += len(data)
        self._check(len(data), self.bytes_read)
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def bound_expansion(decompressed: IO[bytes], compressed: IO[bytes], member: Member) -> IO[bytes]:
    """Limit the size of a decompressed stream relative to the compressed bytes that were read.

    Args:
        decompressed: Stream that decompresses `compressed`.
        compressed: Buffered stream of the compressed bytes, as `Member.open` makes it.
        member: The compressed file.

    Returns:
        A stream that raises `SourceError` above `MAX_COMPRESSION_RATIO`.
    """
    reader: _CheckedReader = compressed.raw  # type: ignore[attr-defined]

    def check(_: int, total: int) -> None:
        limit = MAX_COMPRESSION_RATIO * max(reader.bytes_read, RATIO_GRACE_BYTES)
        if member.is_zipped:
            limit = min(limit, MAX_ZIP_BYTES)  # the file is compressed twice
        if total > limit:
            raise SourceError(
                f"{member.name} unpacks to more than {limit >> 20} MB from {reader.bytes_read:,} bytes; it is "
                "not a listening log. If it is, unpack it and land the unpacked file"
            )

    return io.BufferedReader(_CheckedReader(decompressed, check), 1 << 20)


def list_members(path: Path) -> list[Member]:
    """Return all files of a path, sorted by name; a zip in a folder is treated as a folder with its name.

    Raises:
        SourceError: The path does not exist or is an unfinished download, a link leads out of the folder, or a zip is
            damaged, encrypted or exceeds the size limits. Links of media files are listed with `is_outside`.
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist; give a file, a folder or a zip of listening logs")
    if path.suffix in PARTIAL_DOWNLOAD_SUFFIXES:
        raise SourceError(f"{path} is an unfinished download; wait until it is complete")
    if path.is_file():
        if zipfile.is_zipfile(path):
            return _zip_members(path, PurePosixPath())
        if path.suffix == ".zip":
            raise SourceError(f"{path} is not a readable zip; download it again")
        return [_file_member(path, path.name)]
    members: list[Member] = []
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if any(part.startswith(".") for part in relative.parts):
            continue
        if file.is_symlink() and (is_link_loop(file) or not file.resolve().is_relative_to(path.resolve())):
            members.append(_outside_member(file, relative.as_posix(), path))
        elif file.is_file() and file.suffix == ".zip":
            if not zipfile.is_zipfile(file):
                raise SourceError(f"{file} is not a readable zip; download it again or move it away")
            members += _zip_members(file, PurePosixPath(relative.with_suffix("").as_posix()))
        elif file.is_file():
            members.append(_file_member(file, relative.as_posix()))
    return sorted(members, key=lambda member: member.name)


def fingerprint(files: list[Member]) -> str:
    """Hash of names, sizes and times: reading all files once more would take as long as landing them."""
    text = "".join(f"{member.name}\0{member.size}\0{member.written_at.isoformat()}\n" for member in files)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def printable_name(name: str) -> str:
    """File name in which bytes that are not UTF-8 (lone surrogates in Python) are replaced by their code, as in `\\udce9`."""
    return name.encode("utf-8", "backslashreplace").decode()


def _file_member(file: Path, name: str) -> Member:
    return Member(printable_name(name), file.stat().st_size, lambda: file.open("rb"), _written_at(file))


def _outside_member(link: Path, name: str, source: Path) -> Member:
    """The entry of a media file that is a link out of the source.

    Raises:
        SourceError: It is no media file.
    """
    if link.suffix.lower() not in MEDIA_SUFFIXES:
        raise SourceError(
            f"{link} is a symbolic link to {link.readlink()}, which is outside {source}; copy the file into the folder or "
            "land the original"
        )
    return Member(printable_name(name), 0, io.BytesIO, datetime.fromtimestamp(0, UTC), is_outside=True)


def _written_at(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _zip_members(path: Path, below: PurePosixPath) -> list[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except (OSError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} is not a readable zip ({error}); download it again") from error
    if len(infos) > MAX_MEMBERS:
        raise SourceError(
            f"{path} has {len(infos):,} files; at most {MAX_MEMBERS:,} files of a zip are read: unpack it and land the folder"
        )
    if (size := sum(info.file_size for info in infos)) > MAX_ZIP_BYTES:
        raise SourceError(
            f"{path} would unpack to {size:,} bytes; at most {MAX_ZIP_BYTES >> 30} GB of a zip are read: unpack it and land the "
            "folder"
        )
    members = []
    for info in infos:
        if info.file_size > MAX_MEMBER_BYTES or info.file_size > MAX_COMPRESSION_RATIO * max(
            info.compress_size, RATIO_GRACE_BYTES
        ):
            raise SourceError(
                f"{info.filename} in {path} would unpack from {info.compress_size:,} to {info.file_size:,} bytes; at most "
                f"{MAX_MEMBER_BYTES >> 30} GB and {MAX_COMPRESSION_RATIO} times the packed size are read: unpack it and land the "
                "folder"
            )
        if info.flag_bits & 1:
            raise SourceError(
                f"{info.filename} in {path} is encrypted; unpack it with its password and land the folder"
            )
        # Nothing is extracted, but names become part of user ids, so parent folders are removed from the path.
        safe = [part for part in PurePosixPath(info.filename.replace("\\", "/")).parts if part not in ("/", "..", ".")]
        if safe and not any(part.startswith((".", "__MACOSX")) for part in safe):
            name = printable_name(below.joinpath(*safe).as_posix())
            members.append(
                Member(name, info.file_size, partial(_open_in_zip, path, info), _written_at(path), is_zipped=True)
            )
    return sorted(members, key=lambda member: member.name)


def _open_in_zip(path: Path, info: zipfile.ZipInfo) -> IO[bytes]:
    return zipfile.ZipFile(path).open(info)  # closed with the member: a ZipExtFile keeps its file alive
