"""Files in a folder and its subfolders, also in those that are links to other folders, such as folders on a larger disk."""

from __future__ import annotations

import os
from pathlib import Path


def list_nested_files(folder: Path) -> list[Path]:
    """Every path below `folder` that is not a folder, sorted. A link to a folder that contains it is not followed."""
    files: list[Path] = []
    for name, subfolders, names in os.walk(folder, followlinks=True):
        path = Path(name)
        if path.is_symlink() and path.resolve() in {parent.resolve() for parent in path.parents}:
            subfolders.clear()
        else:
            files += [path / one for one in names]
    return sorted(files)
