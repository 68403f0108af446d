"""Media files of a simulation, which are rendered on demand.

The folder of a simulation has descriptions of its tracks in `media/`. `media/preview/<track id>.wav` and
`media/cover/<track id>.jpg` below it name files that do not exist there: they are rendered into a cache.
"""

from __future__ import annotations

import re
from pathlib import Path

from media.cover import VERSION as COVER_VERSION
from media.cover import encode_jpeg, render_cover
from media.file_cache import FileCache
from media.preview import VERSION as PREVIEW_VERSION
from media.preview import encode_wav, render_preview
from media.track_description import FOLDER, Descriptions, TrackDescription

MAX_CACHE_BYTES = 256 << 20  # about 800 previews
PATH = re.compile(rf"{FOLDER}/(?:(?P<preview>preview)/(?P<track>[^/]+)\.wav|cover/(?P<cover_track>[^/]+)\.jpg)")


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
