"""Vectors by content hash, and what is known of media files: one SQLite file per encoder.

Each batch is one transaction, so a killed process loses the batch that it was working on, and several processes may
write at the same time. Equal content (copies, moved files, equal texts) is encoded once per version of the encoder.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ATTEMPTS = 3  # a file whose decoding has crashed the process this many times is not read again
BUSY_TIMEOUT_S = 60
TABLES = """
create table if not exists vectors (
    version text, content_hash text, embedding blob not null, tag_probabilities blob, primary key (version, content_hash)
) without rowid;
create table if not exists files (
    path text primary key, size integer, modified_ns integer, content_hash text, version text, reason text
) without rowid;
create table if not exists attempts (path text primary key, attempts integer not null) without rowid;
"""

Vector = NDArray[np.float32]


FileState = tuple[int, int]
"""Size and modification time (ns) of a file, by which a later change is detected."""
KnownFile = tuple[FileState, str | None]
"""The last reading of a file, with its content hash; None: it cannot be encoded."""


class VectorCache:
    """The vectors of one version of an encoder, with the files of all versions.

    Args:
        path: The SQLite file; it is created if it is missing.
        version: Version of the encoder.
    """

    def __init__(self, path: Path, version: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.version = version
        self._database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level="IMMEDIATE")
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = normal")
        self._database.executescript(TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def missing(self, content_hashes: Iterable[str]) -> list[str]:
        """The distinct hashes that have no vector of this version, in order."""
        hashes = list(dict.fromkeys(content_hashes))
        known = {
            name for name, *_ in self._select("content_hash from vectors where version = ?", "content_hash", hashes)
        }
        return [name for name in hashes if name not in known]

    def vectors(self, content_hashes: Iterable[str]) -> dict[str, tuple[Vector, Vector | None]]:
        """Embedding and tag probabilities of the hashes that have a vector of this version."""
        columns = "content_hash, embedding, tag_probabilities from vectors where version = ?"
        rows = self._select(columns, "content_hash", content_hashes)
        return {
            name: (np.frombuffer(embedding, np.float32), None if tags is None else np.frombuffer(tags, np.float32))
            for name, embedding, tags in rows
        }

    def add_vectors(self, content_hashes: Sequence[str], embedding_BD: Vector, tags_BT: Vector | None = None) -> None:
        """Store the vectors of a batch."""
        rows = [
            (self.version, name, embedding_BD[row].tobytes(), None if tags_BT is None else tags_BT[row].tobytes())
            for row, name in enumerate(content_hashes)
        ]
        with self._database:
            self._database.executemany("insert or replace into vectors values (?, ?, ?, ?)", rows)

    def known_files(self, paths: Iterable[str]) -> dict[str, KnownFile]:
        """Files that were read before, by path; those that were rejected by another version are not known."""
        columns = "path, size, modified_ns, content_hash from files where (reason is null or version = ?)"
        rows = self._select(columns, "path", paths)
        return {path: ((size, modified_ns), content_hash) for path, size, modified_ns, content_hash in rows}

    def add_file(self, path: str, state: FileState, content_hash: str | None, reason: str | None = None) -> None:
        """Remember a file: its content hash, or the reason for its rejection."""
        row = (path, *state, content_hash, self.version, reason)
        with self._database:
            self._database.execute("insert or replace into files values (?, ?, ?, ?, ?, ?)", row)
            self._database.execute("delete from attempts where path = ?", [path])

    def begin_attempt(self, path: str) -> bool:
        """Record that a file is about to be read; False if reading it has crashed the process MAX_ATTEMPTS times."""
        with self._database:
            query = "insert into attempts values (?, 1) on conflict do update set attempts = attempts + 1 returning attempts"
            ((attempts,),) = self._database.execute(query, [path]).fetchall()
        return bool(attempts <= MAX_ATTEMPTS)

    def end_attempt(self, path: str) -> None:
        """Forget the attempts to read a file, because it was read."""
        with self._database:
            self._database.execute("delete from attempts where path = ?", [path])

    def rejected_files(self) -> list[tuple[str, str]]:
        """Path and reason of all rejected files, by path."""
        return self._database.execute(
            "select path, reason from files where reason is not null order by path"
        ).fetchall()

    def delete_other_versions(self) -> None:
        """Delete the vectors of other versions, which no table uses any more."""
        with self._database:
            self._database.execute("delete from vectors where version <> ?", [self.version])

    def _select(self, columns: str, key: str, values: Iterable[str]) -> list[tuple[Any, ...]]:
        query = f"select {columns} and {key} in (select value from json_each(?))"  # noqa: S608 - names of columns
        return self._database.execute(query, [self.version, json.dumps(list(values))]).fetchall()
