"""From a release folder to what the request path needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.releases.served_release import REMOTE_MODEL, ServedRelease
from training.data.catalog import Catalog
from training.data.feature_services import ServiceContract


@dataclass(frozen=True)
class ReleaseParts:
    """Which models of a release a process needs; what is left out is ELSEWHERE."""

    has_channels: bool = True
    has_ranker: bool = True


ALL_PARTS = ReleaseParts()


def load_release(folder: Path, contract: ServiceContract, parts: ReleaseParts = ALL_PARTS) -> ServedRelease:
    """The release in `folder`, every part of it or the models that are needed.

    Raises:
        FileNotFoundError: a part is missing; the message names it.
    """
    import torch  # the service answers /livez before it needs a release

    from training.release.bundle import Release

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # channels run side by side; `python -m serving` says the same to every library
    release = Release.load(folder, parts.has_channels, parts.has_ranker)
    has_ranker = bool(release.manifest["ranker"])
    channels: Mapping[str, Any] = release.channels
    if not parts.has_channels:
        channels = dict.fromkeys(release.manifest["channels"], REMOTE_MODEL)
    return ServedRelease(
        release_id=str(release.manifest["release"]),
        channels=channels,
        fusion=release.fusion,
        ranker=REMOTE_MODEL if has_ranker and not parts.has_ranker else release.ranker,
        blend=release.blend,
        vocabulary=release.vocabulary,
        catalog=Catalog.build(release.catalog, release.vocabulary),
        contract=contract,
        as_of=str(release.manifest.get("as_of", "")),
        collection_channels=release.collection_recallers,
        collection_indexes=release.collection_indexes,
    )
