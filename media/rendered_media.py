"""Media files of a simulation, which are rendered on demand.

The folder of a simulation has descriptions of its tracks in `media/`. `media/preview/<track id>.wav` and
`media/cover/<track id>.jpg` below it name files that do not exist there: they are rendered into
a bounded cache, which several processes may use at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from media.cover import VERSION as COVER_VERSION
from media.cover import encode_jpeg, render_cover
from media.preview import VERSION as PREVIEW_VERSION
from media.preview import encode_wav, render_preview
from media.track_description import FOLDER, Descriptions, TrackDescription

WRITING_SUFFIX = ".writing"
KEPT_SHARE = 0.8  # of the bound, after old files were removed
CHECK_SHARE = 1 / 16  # of the bound: the folder is listed after that many bytes were written
ABANDONED_S = 3600  # age of a file that its writer did not finish
MTIME_RANGE_NS = 10**18  # modification times are before 2001-09-09

MAX_CACHE_BYTES = 256 << 20  # about 800 previews
PATH = re.compile(rf"{FOLDER}/(?:(?P<preview>preview)/(?P<track>[^/]+)\.wav|cover/(?P<cover_track>[^/]+)\.jpg)")


class FileCache:
    """Files by name; the least recently used ones are removed.

    The modification time of a file is a hash of its name, so that it is the same whenever the file is made again:
    readers that recognize files by size and time see no change. The time of use is the access time.

    Args:
        folder: Made when the first file is written.
        max_bytes: Bound of the size of all files; exceeded by CHECK_SHARE for each process at most.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._lock = threading.Lock()
        self._unchecked_bytes = max_bytes  # so that the first file checks the folder

    def get(self, name: str, create: Callable[[], bytes]) -> Path:
        """The file of that name, with what `create` returns if it is not there.

        Args:
            name: File name. Equal names must mean equal contents.
            create: Called without a lock; several threads may create the same file.
        """
        file = self._folder / name
        try:
            self._set_times(file)
        except FileNotFoundError:
            self._write(file, create())
        return file

    @staticmethod
    def modified_ns(name: str) -> int:
        """Modification time of the file of that name, whether it is there or not."""
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") % MTIME_RANGE_NS

    def _set_times(self, file: Path) -> None:
        os.utime(file, ns=(time.time_ns(), self.modified_ns(file.name)))

    def _write(self, file: Path, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, writing = tempfile.mkstemp(suffix=WRITING_SUFFIX, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            self._set_times(Path(writing).rename(file))
        except BaseException:
            Path(writing).unlink(missing_ok=True)
            raise
        with self._lock:
            self._unchecked_bytes += len(content)
            if self._unchecked_bytes >= self._max_bytes * CHECK_SHARE:
                self._unchecked_bytes = 0
                self._remove_old(file)

    def _remove_old(self, newest: Path) -> None:
        files, total = [], 0
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # removed by another process
                if entry.name.endswith(WRITING_SUFFIX):
                    if time.time() - status.st_ctime > ABANDONED_S:
                        Path(entry.path).unlink(missing_ok=True)
                    continue
                files.append((status.st_atime_ns, status.st_size, entry.path))
                total += status.st_size
        if total <= self._max_bytes:
            return
        for _, size, path in sorted(files):
            if total <= self._max_bytes * KEPT_SHARE:
                break
            if path != str(newest):
                Path(path).unlink(missing_ok=True)
                total -= size


class RenderedMedia:
    """The media of one simulation.

    Args:
        simulation: Its folder.
        cache: Folder of rendered files.
    """

    def __init__(self, simulation: Path, cache: Path) -> None:
        self._descriptions = Descriptions.read(simulation)
        self._cache = FileCache(cache, MAX_CACHE_BYTES)

    def find(self, relative: str) -> Path | None:
        """The rendered file of a path below the simulation; None if there is nothing to render by this name.

        The file may be removed when others are rendered: read it at once.
        """
        found = self._describe(relative)
        if found is None:
            return None
        description, name = found
        if name.endswith(".wav"):
            return self._cache.get(name, lambda: encode_wav(render_preview(description)))
        return self._cache.get(name, lambda: encode_jpeg(render_cover(description)))

    def modified_ns(self, relative: str) -> int | None:
        """Modification time that the file of `find` has, without rendering it."""
        found = self._describe(relative)
        return None if found is None else self._cache.modified_ns(found[1])

    def _describe(self, relative: str) -> tuple[TrackDescription, str] | None:
        """Description of the track, and name of the rendered file."""
        match = PATH.fullmatch(relative)
        description = self._descriptions.find(match["track"] or match["cover_track"]) if match else None
        if match is None or description is None:
            return None
        suffix = f"{PREVIEW_VERSION}.wav" if match["preview"] else f"{COVER_VERSION}.jpg"
        return description, f"{description.digest()}.{suffix}"
