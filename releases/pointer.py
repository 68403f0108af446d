"""Pointer to the active release: `bentoml/active.json`, replaced atomically, with the history of active releases.

`{"release", "path", "activated_at", "history": [{"release", "path", "activated_at", "left_at", "why"}]}`, newest last.
Paths are relative to the folder of the file, so that a copied home refers to its own releases.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from releases.format import FORMAT, OutdatedFormat
from storage.file_lock import file_lock
from storage.files import atomic_write

MAX_HISTORY = 50  # entries
MANIFEST = "manifest.json"
LOCK_FILE = "releases.lock"
FIELDS = {"release", "path", "history"}
STORE_FOLDER = "models/segue"  # of the releases in BentoML's home


class DamagedPointer(RuntimeError):
    """The pointer file cannot be read; the message names it and the remedy."""


class NothingToRollBack(RuntimeError):
    """There is no previous release, or it is no longer in the store."""


def release_lock(home: Path) -> IO[str]:
    """Hold the lock of BentoML's home that allows one process at a time to change which releases are in service."""
    return file_lock(home / LOCK_FILE)


def release_folder(home: Path, path: str) -> Path:
    """Folder of a release, given its path in a file of BentoML's home `home`."""
    return home / path


def relative_path(home: Path, folder: Path) -> str:
    """The path of a release folder as `release_folder` expects it; absolute if the folder is outside BentoML's home."""
    return str(folder.relative_to(home) if folder.is_relative_to(home) else folder)


def check_format(folder: Path) -> None:
    """Check that the release in `folder` has the current format; a folder without a manifest is not checked.

    Raises:
        OutdatedFormat: It has another format.
    """
    file = folder / MANIFEST
    if file.exists() and (manifest := json.loads(file.read_text())).get("format", 1) != FORMAT:
        raise OutdatedFormat(f"release {manifest.get('release', '')} in {folder}", manifest.get("format", 1))


@dataclass(frozen=True)
class Pointer:
    """The pointer file, which need not exist yet."""

    file: Path

    def read(self) -> dict[str, Any] | None:
        """Content of the file; None before the first release.

        Raises:
            DamagedPointer: The file does not name a release.
        """
        if not self.file.exists():
            return None
        try:
            content: dict[str, Any] = json.loads(self.file.read_text())
            if content.keys() >= FIELDS:
                return content
        except (ValueError, AttributeError):
            pass
        raise DamagedPointer(
            f"{self.file} is damaged; restore it from a backup, or move it away and put a release into service: "
            "`python -m releases list`, then `activate ID`"
        )

    @property
    def active(self) -> str | None:
        """Id of the active release; None before the first release."""
        content = self.read()
        return str(content["release"]) if content else None

    @property
    def path(self) -> Path | None:
        """Folder of the active release; None before the first release."""
        content = self.read()
        return release_folder(self.file.parent, content["path"]) if content else None

    def was_rolled_back(self, release: str) -> bool:
        """Whether the release was rolled back and has not been active since."""
        return self._last_departures().get(release, {}).get("why") == "rollback"

    def activate(self, release: str, path: Path) -> None:
        """Make a release the active one; does nothing if it already is."""
        if self.active != release:
            self._write(release, path, "replaced")

    def rollback_targets(self) -> list[str]:
        """Ids of the releases that rollbacks would activate one after the other, without those that were rolled back."""
        return [release for release, row in self._last_departures().items() if row["why"] != "rollback"]

    def previous(self) -> tuple[str, Path]:
        """Id and folder of the release that a rollback would activate.

        Raises:
            NothingToRollBack: There is none, or its folder does not exist.
        """
        content = self.read()
        if content is None:
            raise NothingToRollBack(
                f"no release is active ({self.file} is missing); run `python -m training.release` first"
            )
        targets = self.rollback_targets()
        if not targets:
            raise NothingToRollBack(
                f"{content['release']} is active and no earlier release is left to return to; `python -m releases list` "
                "shows the stored releases, `activate ID` puts one in service"
            )
        target = self._last_departures()[targets[0]]
        folder = release_folder(self.file.parent, target["path"])
        if not folder.is_dir():
            raise NothingToRollBack(f"release {target['release']} is no longer in {folder}; train and release again")
        return str(target["release"]), folder

    def rollback(self) -> str:
        """Activate the previous release and return its id.

        A second rollback goes back one more: a release that was rolled back is not activated again by a rollback.

        Raises:
            NothingToRollBack: There is none, or its folder does not exist.
        """
        release, path = self.previous()
        self._write(release, path, "rollback")
        return release

    def _last_departures(self) -> dict[str, dict[str, Any]]:
        """The last entry of each release that is not active, the newest first."""
        content = self.read() or {"history": []}
        last: dict[str, dict[str, Any]] = {}
        for row in reversed(content["history"]):
            if row["release"] != content["release"]:
                last.setdefault(row["release"], row)
        return last

    def _write(self, release: str, path: Path, why: str) -> None:
        content, now = self.read(), datetime.now(UTC).isoformat()
        history = content["history"] if content else []
        if content:
            left = {name: content[name] for name in ("release", "path", "activated_at")}
            history = [*history, left | {"left_at": now, "why": why}][-MAX_HISTORY:]
        stored = relative_path(self.file.parent, path)
        active = {"release": release, "path": stored, "activated_at": now, "history": history}
        atomic_write(self.file, json.dumps(active, indent=2) + "\n")
