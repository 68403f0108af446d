"""Storage of releases in BentoML's model store; the only file of training that imports bentoml.

A release is the model `segue:<release id>`, immutable once it is complete. A process uses one store because BentoML
reads BENTOML_HOME only once.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config import settings

MODEL_NAME = "segue"
CHECKSUM_FILE = "files.sha256"


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
    if _version_exists(tag):
        models.delete(tag)
    with models.create(tag, labels=dict(labels)) as model:
        home = Path(model.path)
        shutil.copytree(folder, home, dirs_exist_ok=True)
        (home / CHECKSUM_FILE).write_text(checksum_listing(folder))
    published = find_version(version)
    if published is None:
        raise OSError(f"{tag} is incomplete in {settings.load_settings().releases}; check the free space and run again")
    return published


def find_version(version: str) -> Path | None:
    """Folder of a complete version; None if it is missing or incomplete."""
    tag = f"{MODEL_NAME}:{version}"
    if not _version_exists(tag):
        return None
    home = Path(_bentoml_models().get(tag).path)
    record = home / CHECKSUM_FILE
    is_complete = record.exists() and record.read_text() == checksum_listing(home)
    return home if is_complete else None


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


def checksum_listing(folder: Path) -> str:
    """`<sha256>  <path>` of every file, sorted, without the files that the store adds."""
    excluded = {CHECKSUM_FILE, "model.yaml"}
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and str(path.relative_to(folder)) not in excluded
    )
    return "".join(f"{_hash(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version_exists(tag: str) -> bool:
    from bentoml.exceptions import NotFound

    try:
        return bool(_bentoml_models().list(tag))
    except (NotFound, FileNotFoundError):
        return False


def _bentoml_models() -> Any:
    # BentoML reads its home on first use, so the environment is set before the import.
    os.environ.update(
        {name: value for name, value in settings.tool_environment(settings.load_settings()).items() if "BENTO" in name}
    )
    import bentoml.models

    return bentoml.models
