"""Which release is in service: `bentoml/active.json`, replaced whole, with the releases before it.

`{"release", "path", "activated_at", "history": [{"release", "path", "activated_at", "left_at", "why"}], newest last}`.
A reader sees the old file or the new one. Knows nothing about what a release is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MAX_HISTORY = 50


class NothingToRollBack(RuntimeError):
    """There is no release before the active one, or it is gone from the store."""


@dataclass(frozen=True)
class Pointer:
    """The pointer file; it need not exist yet."""

    file: Path

    def read(self) -> dict[str, Any] | None:
        """The pointer; None before the first release."""
        if not self.file.exists():
            return None
        content: dict[str, Any] = json.loads(self.file.read_text())
        return content

    @property
    def active(self) -> str | None:
        """Id of the release in service."""
        content = self.read()
        return str(content["release"]) if content else None

    @property
    def path(self) -> Path | None:
        """Folder of the release in service."""
        content = self.read()
        return Path(content["path"]) if content else None

    def was_rolled_back(self, release: str) -> bool:
        """Whether the release left service by a rollback and has not been in service since."""
        content = self.read() or {"history": []}
        leavings = [row for row in content["history"] if row["release"] == release]
        return release != content.get("release") and bool(leavings) and leavings[-1]["why"] == "rollback"

    def activate(self, release: str, path: Path) -> None:
        """Put a release into service. One that is in service stays, and so does its history."""
        if self.active != release:
            self._write(release, path, "replaced")

    def previous(self) -> tuple[str, Path]:
        """The release that a rollback would put back into service, and its folder.

        Raises:
            NothingToRollBack: there is none, or its folder is gone.
        """
        content = self.read()
        if content is None:
            raise NothingToRollBack(
                f"no release is active ({self.file} is missing); run `python -m training.release` first"
            )
        left = {row["release"] for row in content["history"] if row["why"] == "rollback"} | {content["release"]}
        earlier = [row for row in content["history"] if row["release"] not in left]
        if not earlier:
            raise NothingToRollBack(f"{content['release']} is the first release; there is none to go back to")
        target = earlier[-1]
        if not Path(target["path"]).is_dir():
            raise NothingToRollBack(
                f"release {target['release']} is gone from {target['path']}; train and release again"
            )
        return str(target["release"]), Path(target["path"])

    def rollback(self) -> str:
        """Put the release before the active one back into service and return its id.

        A second rollback goes one further back: releases that were rolled back from are not returned to.

        Raises:
            NothingToRollBack: there is none, or its folder is gone.
        """
        release, path = self.previous()
        self._write(release, path, "rollback")
        return release

    def _write(self, release: str, path: Path, why: str) -> None:
        content, now = self.read(), datetime.now(UTC).isoformat()
        history = content["history"] if content else []
        if content:
            left = {name: content[name] for name in ("release", "path", "activated_at")}
            history = [*history, left | {"left_at": now, "why": why}][-MAX_HISTORY:]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_name(self.file.name + ".writing")
        draft.write_text(
            json.dumps({"release": release, "path": str(path), "activated_at": now, "history": history}, indent=2)
            + "\n"
        )
        draft.replace(self.file)
