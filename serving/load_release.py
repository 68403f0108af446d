"""From a release folder to what the request path needs."""

from __future__ import annotations

import os
from pathlib import Path

from serving.served_release import ServedRelease
from training.catalogue import Catalogue
from training.features import ServiceContract


def load_release(folder: Path, contract: ServiceContract) -> ServedRelease:
    """The release in `folder`, every part of it.

    Raises:
        FileNotFoundError: a part is missing; the message names it.
    """
    import torch  # the service answers /livez before it needs a release

    from training.release.bundle import Release

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # channels run side by side; `python -m serving` says the same to every library
    release = Release.load(folder)
    return ServedRelease(
        release_id=str(release.manifest["release"]),
        channels=release.channels,
        fusion=release.fusion,
        ranker=release.ranker,
        blend=release.blend,
        vocabulary=release.vocabulary,
        catalogue=Catalogue.build(release.catalogue, release.vocabulary),
        contract=contract,
        as_of=str(release.manifest.get("as_of", "")),
    )
