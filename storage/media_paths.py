"""Media files of tracks: which file `audio_path` and `cover_path` of a landed track mean.

A log names media files relative to the landed folder, or to `SEGUE_MEDIA_ROOT` if that is set. Landing keeps the second
form as it is, and puts the id of the landed folder in front of the first: `1f0c…9a:album/1.flac`. `SEGUE_HOME/media/`
holds `roots.json` (id to folder) and the covers that landing extracted, `media:covers/<SHA-256>.jpg`. ADR 0052 has the
reasons.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from media.track_description import DamagedDescriptions, description_time
from storage.files import atomic_write

if TYPE_CHECKING:
    from media.rendered_media import RenderedMedia

MAX_PATH_BYTES = 1_000
ROOTS_FILE = "roots.json"
EXTRACTED = "media:"
"""Prefix of paths below `SEGUE_HOME/media`."""
COVERS_FOLDER = "covers"
RENDERED_FOLDER = "rendered"
"""Cache of the rendered media of simulations."""
EXTRACTED_COVER = r"^media:covers/[0-9a-f]{64}\.(jpg|png|webp|gif|bmp)$"
WITH_ROOT = r"^(media|[0-9a-f]{16}):"
"""Landed paths that name their root; a log must not contain them, except for EXTRACTED_COVER."""
NOT_WITHIN = r"^/|(^|/)\.{0,2}(/|$)|[\x00-\x1f\x7f\x{fffd}]"
"""Absolute paths, paths with `.`, `..` or an empty component, and characters that no name should have."""


class MediaPathError(ValueError):
    """A path does not name a file within its root; the message names the path."""


class MediaRootError(ValueError):
    """The folder of a path is not there, so that no file below it is; the message names the folder and the remedy."""


def is_link_loop(path: Path) -> bool:
    """Whether the symbolic links of a path lead in a circle."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def register_root(media: Path, folder: Path) -> str:
    """Remember a landed folder in `media`; return the prefix of paths relative to it."""
    folder = folder.resolve()
    root_id = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    roots = _read_roots(media)
    # The inode tells whether the folder with this path is still the same, also on another machine.
    root = {"path": str(folder), "inode": folder.stat().st_ino}
    if roots.get(root_id) != root:
        atomic_write(media / ROOTS_FILE, json.dumps({**roots, root_id: root}, indent=1, sort_keys=True))
    return f"{root_id}:"


def store_cover(media: Path, content: bytes, extension: str) -> str:
    """Keep an extracted cover in `media` under its hash; return its landed path."""
    name = f"{COVERS_FOLDER}/{hashlib.sha256(content).hexdigest()}.{extension}"
    file = media / name
    if not file.exists():
        atomic_write(file, content, is_contended=True)
    return EXTRACTED + name


def _read_roots(media: Path) -> dict[str, dict[str, str | int]]:
    try:
        roots = json.loads((media / ROOTS_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise MediaRootError(
            f"{media / ROOTS_FILE} is damaged ({error}); delete it and land the sources again"
        ) from error
    return roots if isinstance(roots, dict) else {}


@dataclass(frozen=True)
class MediaPaths:
    """Finds the files that landed paths name. Each root is found once in the life of the object."""

    media: Path  # SEGUE_HOME/media
    media_root: Path | None = None  # SEGUE_MEDIA_ROOT
    _roots: dict[str, Path] = field(default_factory=dict, repr=False)  # by prefix

    def resolve(self, landed: str) -> Path:
        """The file that a landed path names, which need not exist.

        A preview or cover of a simulation is rendered into a bounded cache, and its file there is returned: it should be
        read before many others are resolved.

        Raises:
            MediaPathError: the path, or a symbolic link on it, leads out of its root.
            MediaRootError: the root is unknown, moved, replaced or damaged.
        """
        root, relative, file = self._locate(landed)
        # Path.exists raises an error for a name that is too long or a folder without access.
        simulation = None if os.path.exists(file) else self._simulation(root)  # noqa: PTH110
        return (simulation.find(relative) if simulation else None) or file

    def state(self, landed: str) -> tuple[int, int]:
        """Size and modification time (ns) of the file that a landed path names; -1, -1 if it is missing.

        Media of a simulation are not rendered; their size is 0, and their time depends on their content.

        Raises:
            MediaPathError, MediaRootError: as `resolve`.
        """
        root, relative, file = self._locate(landed)
        try:
            status = file.stat()
        except OSError:
            simulation = self._simulation(root)
            modified_ns = simulation.modified_ns(relative) if simulation else None
            return (-1, -1) if modified_ns is None else (0, modified_ns)
        return status.st_size, status.st_mtime_ns

    def _locate(self, landed: str) -> tuple[Path, str, Path]:
        """Root, path below it, and file of a landed path."""
        match = re.match(WITH_ROOT, landed)
        prefix, relative = (match[0], landed[match.end() :]) if match else ("", landed)
        root = self._root(prefix)
        if re.search(NOT_WITHIN.replace(r"\x{fffd}", "\ufffd"), relative):
            raise MediaPathError(f"{landed!r} is not a path within its root; write it relative and without `..`")
        if is_link_loop(root / relative):
            raise MediaPathError(f"{landed!r} is a loop of symbolic links; copy the file into the folder")
        file = (root / relative).resolve()
        if not file.is_relative_to(root):
            raise MediaPathError(f"{landed!r} is a symbolic link out of {root}; copy the file into the folder")
        return root, relative, file

    def _simulation(self, root: Path) -> RenderedMedia | None:
        """The media of a simulation; None if the root is not the folder of one."""
        described_at = description_time(root)
        if described_at is None:
            return None
        try:
            return _open_simulation(root, self.media / RENDERED_FOLDER, described_at)
        except DamagedDescriptions as error:
            raise MediaRootError(str(error)) from error

    def _root(self, prefix: str) -> Path:
        if prefix not in self._roots:
            self._roots[prefix] = self._find_root(prefix)
        return self._roots[prefix]

    def _find_root(self, prefix: str) -> Path:
        if prefix == EXTRACTED:
            return self.media.resolve()
        if not prefix:
            if self.media_root is None:
                raise MediaRootError("the catalog was landed with SEGUE_MEDIA_ROOT; set it to the folder of the media")
            return self.media_root.resolve()
        root = _read_roots(self.media).get(prefix[:-1])
        if root is None:
            raise MediaRootError(f"{self.media / ROOTS_FILE} has no folder {prefix[:-1]}; land its source again")
        folder = Path(str(root["path"]))
        remedy = "land it again from where it is now"
        if not folder.is_dir():
            raise MediaRootError(f"the media folder {folder} is not there; {remedy}")
        if folder.stat().st_ino != root["inode"]:
            raise MediaRootError(f"{folder} is not the folder that was landed, but another one of that name; {remedy}")
        return folder.resolve()


@lru_cache(maxsize=8)
def _open_simulation(root: Path, cache: Path, _described_at: int) -> RenderedMedia:
    """The media of a simulation, kept until its descriptions are written again, because reading them takes a while."""
    from media.rendered_media import RenderedMedia  # with the drawing library, which few commands need

    return RenderedMedia(root, cache)
