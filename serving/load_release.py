"""From a release folder to what the request path needs."""

from __future__ import annotations

from pathlib import Path

from serving.served_release import ServedRelease
from training.catalogue import Catalogue
from training.features import ServiceContract


def load_release(folder: Path, contract: ServiceContract) -> ServedRelease:
    """The release in `folder`, every part of it.

    Raises:
        FileNotFoundError: a part is missing; the message names it.
    """
    from training.release import Release  # loads torch; the service answers /livez before it needs a release

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
    )
