"""Storage of releases in BentoML's model store; the only file of training that imports bentoml.

A release is the model `segue:<release id>`, immutable once it is complete. A process uses one store because BentoML
reads BENTOML_HOME only once.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config import settings
from config.tool_environment import tool_environment
from releases import integrity
from releases.integrity import DamagedRelease

MODEL_NAME = "segue"


def publish(folder: Path, version: str, labels: Mapping[str, str]) -> Path:
    """Copy `folder` into the store as `segue:<version>` and return its folder there.

    A complete version is not changed. An incomplete one, without a matching list of checksums (which is written last),
    is removed and written again.

    Raises:
        OSError: The copy is incomplete.
    """
    models = _bentoml_models()
    tag = f"{MODEL_NAME}:{version}"
    existing = find_version(version)
    if existing is not None:
        return existing
    if version_folder(version) is not None:
        models.delete(tag)
    with models.create(tag, labels=dict(labels)) as model:
        home = Path(model.path)
        shutil.copytree(folder, home, dirs_exist_ok=True)
        # Of the source, so that an incomplete copy is detected.
        (home / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(folder))
        if key := settings.load_settings().release_private_key:
            integrity.sign(home, key)
    published = find_version(version)
    if published is None:
        raise OSError(f"{tag} is incomplete in {settings.load_settings().releases}; check the free space and run again")
    return published


def find_version(version: str) -> Path | None:
    """Folder of a complete version; None if it is missing, incomplete or damaged. Reads every file."""
    home = version_folder(version)
    try:
        if home is not None:
            integrity.verify(home)
    except DamagedRelease:
        return None
    return home


def version_folder(version: str) -> Path | None:
    """Folder of a version, complete or not; None if it is missing."""
    from bentoml.exceptions import NotFound

    try:
        return Path(_bentoml_models().get(f"{MODEL_NAME}:{version}").path)
    except (NotFound, FileNotFoundError):
        return None


def list_versions() -> list[str]:
    """All versions in the store, complete or not, newest first."""
    from bentoml.exceptions import NotFound

    try:
        models = _bentoml_models().list(MODEL_NAME)
    except (NotFound, FileNotFoundError):
        return []
    models.sort(key=lambda model: model.info.creation_time, reverse=True)
    return [str(model.tag.version) for model in models]


def is_valid_version(text: str) -> bool:
    """Whether `text` is a valid version; the store interprets `latest` and paths differently."""
    return re.fullmatch("[A-Za-z0-9_-]{1,64}", text) is not None and text != "latest"


def _bentoml_models() -> Any:
    # BentoML reads its home on first use, so the environment is set before the import.
    os.environ.update(
        {name: value for name, value in tool_environment(settings.load_settings()).items() if "BENTO" in name}
    )
    import bentoml.models

    return bentoml.models
