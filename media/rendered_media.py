"""Media files of a simulation, which are rendered on demand.

The folder of a simulation has descriptions of its tracks in `media/`. `media/preview/<track id>.ogg` and
`media/cover/<track id>.jpg` below it name files that do not exist there (`.wav` in
earlier simulations): they are rendered into a bounded cache, which several processes may use at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from contextlib import suppress
from pathlib import Path

from media.cover import VERSION as COVER_VERSION
from media.cover import encode_jpeg, render_cover
from media.preview import VERSION as PREVIEW_VERSION
from media.preview import encode_opus, render_preview
from media.track_description import FOLDER, Descriptions, TrackDescription

MAX_FILES = 4000  # 160 MB if all are previews
MTIME_RANGE_NS = 10**18  # modification times are before 2001-09-09
PATH = re.compile(rf"{FOLDER}/(?:(?P<preview>preview)/(?P<track>[^/]+)\.(?:ogg|wav)|cover/(?P<cover_track>[^/]+)\.jpg)")


class RenderedMedia:
    """The media of one simulation.

    Args:
        simulation: Its folder.
        cache: Folder of rendered files; made when the first one is written.
    """

    def __init__(self, simulation: Path, cache: Path) -> None:
        self._descriptions = Descriptions(simulation)
        self._cache = cache

    def find(self, relative: str) -> Path | None:
        """The rendered file of a path below the simulation; None if there is nothing to render by this name.

        The file may be removed when others are rendered: read it at once.
        """
        found = self._describe(relative)
        if found is None:
            return None
        description, name = found
        file, is_preview = self._cache / name, name.endswith(".ogg")
        if not file.exists():
            content = encode_opus(render_preview(description)) if is_preview else encode_jpeg(render_cover(description))
            self._cache.mkdir(parents=True, exist_ok=True)
            draft = file.with_name(f".{name}.{os.getpid()}.{threading.get_ident()}")
            draft.write_bytes(content)
            draft.rename(file)
            self._remove_oldest()
        return file

    def modified_ns(self, relative: str) -> int | None:
        """Time that stands for the content of the file of `find`, without rendering it."""
        found = self._describe(relative)
        if found is None:
            return None
        digest = hashlib.blake2b(found[1].encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") % MTIME_RANGE_NS

    def _remove_oldest(self) -> None:
        """Remove a fifth of the files if there are too many."""
        files = list(self._cache.iterdir())
        if len(files) > MAX_FILES:
            with suppress(FileNotFoundError):  # removed by another process
                for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)[: len(files) // 5]:
                    file.unlink()

    def _describe(self, relative: str) -> tuple[TrackDescription, str] | None:
        """Description of the track, and name of the rendered file."""
        match = PATH.fullmatch(relative)
        description = self._descriptions.find(match["track"] or match["cover_track"]) if match else None
        if match is None or description is None:
            return None
        suffix = f"{PREVIEW_VERSION}.ogg" if match["preview"] else f"{COVER_VERSION}.jpg"
        return description, f"{description.digest()}.{suffix}"
