"""Active release and canaries: activate, roll back, change shares.

The service follows both files within a second. Activating a release and rolling back end all canaries, so that no user
keeps a release that was meant to be removed.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from config import settings
from releases import integrity, model_store, traffic_split
from releases.pointer import Pointer, check_format, relative_path, release_lock
from releases.traffic_split import InvalidTrafficSplit, TrafficSplit

ACTIVE_FILE = "active.json"
MAX_LISTED = 10


class UnknownRelease(LookupError):
    """The release is not in the store, or is incomplete."""


def open_pointer() -> Pointer:
    """The pointer of this installation."""
    return Pointer(settings.load_settings().releases / ACTIVE_FILE)


def traffic_split_file() -> Path:
    """File of the traffic split of this installation."""
    return settings.load_settings().releases / traffic_split.TRAFFIC_SPLIT_FILE


def activate(release: str) -> list[str]:
    """Give `release` to all users and end all canaries.

    Returns:
        Lines that describe the changes.

    Raises:
        UnknownRelease: It is not in the store.
        DamagedRelease: Its files do not match its checksums, or it has no valid signature.
        OutdatedFormat: It was written by another version of Segue.
    """
    with _lock():
        path = _path_of(release)
        # The release first, then the shares, so that a service does not unload a canary that becomes the active release.
        open_pointer().activate(release, path)
        return [f"{release} is active for all users", *_end_traffic_split()]


def activate_new(release: str, path: Path) -> None:
    """Give a release that was just stored in `path` to all users; the canaries stay."""
    with _lock():
        open_pointer().activate(release, path)


def rollback() -> list[str]:
    """Return to the previously active release and end all canaries.

    Returns:
        Lines that describe the changes.

    Raises:
        NothingToRollBack: There is no previous release, or it is no longer in the store; the shares are unchanged.
        DamagedRelease: Its files do not match its checksums, or it has no valid signature; the shares are unchanged.
        OutdatedFormat: It was written by another version of Segue; the shares are unchanged.
    """
    with _lock():
        pointer = open_pointer()
        _, path = pointer.previous()
        _verify(path)
        check_format(path)
        ended = _end_traffic_split()
        return [f"rolled back: {pointer.rollback()} is active for all users", *ended]


def canary(release: str, share: float, experiment: str | None = None) -> list[str]:
    """Give `release` to a share of the users; a share of 0 ends the canary.

    Returns:
        Lines that describe the changes.

    Raises:
        UnknownRelease: It is not in the store.
        DamagedRelease: Its files do not match its checksums, or it has no valid signature.
        OutdatedFormat: It was written by another version of Segue.
        InvalidTrafficSplit: A share is out of range, the total exceeds 1, another experiment is active, or there is no
            active release.
    """
    with _lock():
        path = _path_of(release) if share else Path()
        active, split = open_pointer().active, traffic_split.read(traffic_split_file())
        if share == 0:
            if release not in {canary_release.release for canary_release in split.canaries}:
                raise InvalidTrafficSplit(f"release {release} has no share to end; {_describe_split(split)}")
        elif active is None:
            raise InvalidTrafficSplit(
                f"there is no active release, so {release} cannot be a canary; activate a release first"
            )
        elif release == active:
            raise InvalidTrafficSplit(f"{release} is already the active release; name another")
        changed = split.with_share(release, relative_path(traffic_split_file().parent, path), share, experiment)
        traffic_split.write(traffic_split_file(), changed)
        return [_describe_split(changed)]


def end_experiment() -> list[str]:
    """End all canaries: all users get the active release.

    Returns:
        Lines that describe the changes.
    """
    with _lock():
        return _end_traffic_split() or [_describe_split(TrafficSplit())]


def sign(release: str) -> list[str]:
    """Sign a stored release with the private key of the settings, after checking its files.

    Returns:
        Lines that describe the change.

    Raises:
        UnknownRelease: It is not in the store.
        DamagedRelease: Its files do not match its checksums.
        SettingError: There is no private key, or it is not an Ed25519 key.
    """
    key = settings.load_settings().release_private_key
    if not key:
        raise settings.SettingError("SEGUE_RELEASE_PRIVATE_KEY is empty; set it to the PEM file of an Ed25519 key")
    path = _stored_path(release)
    integrity.verify(path)
    try:
        integrity.sign(path, key)
    except ValueError as error:
        raise settings.SettingError(f"SEGUE_RELEASE_PRIVATE_KEY: {error}") from error
    return [f"{release} is signed"]


def describe_releases() -> list[str]:
    """Lines that describe the active release, the shares and the stored releases."""
    stored = ", ".join(model_store.list_versions()[:MAX_LISTED]) or "none"
    return [
        f"active: {open_pointer().active or 'none'}",
        _describe_split(traffic_split.read(traffic_split_file())),
        f"in the store, newest first: {stored}",
    ]


def _lock() -> IO[str]:
    return release_lock(settings.load_settings().releases)


def _describe_split(split: TrafficSplit) -> str:
    if not split.canaries:
        return "no canaries: all users get the active release"
    parts = ", ".join(f"{canary_release.release} {canary_release.share:.1%}" for canary_release in split.canaries)
    return f"experiment {split.experiment}: {parts}, the rest {open_pointer().active}"


def _path_of(release: str) -> Path:
    path = _stored_path(release)
    _verify(path)
    check_format(path)
    return path


def _stored_path(release: str) -> Path:
    path = model_store.version_folder(release) if model_store.is_valid_version(release) else None
    if path is None or not (path / integrity.CHECKSUM_FILE).exists():
        stored = ", ".join(model_store.list_versions()[:MAX_LISTED]) or "none, run `python -m training.release` first"
        raise UnknownRelease(
            f"release {release[:80]!r} is not in the store or is incomplete; stored releases: {stored}"
        )
    return path


def _verify(path: Path) -> None:
    integrity.verify(path, settings.load_settings().release_public_key)


def _end_traffic_split() -> list[str]:
    # A damaged file must not keep a release in service that an operator wants to remove.
    if line := traffic_split.move_damaged(traffic_split_file()):
        return [line]
    split = traffic_split.read(traffic_split_file())
    if not split.canaries:
        return []
    traffic_split.write(traffic_split_file(), TrafficSplit())
    return [f"ended: {_describe_split(split).split(', the rest')[0]}"]
