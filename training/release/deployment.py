"""What is in service, and how to change it: one release for everybody, or others beside it for a share of the users.

The service follows both files within a second. A command that puts one release in service for everybody ends all
shares, so that nobody keeps a release that was meant to go.
"""

from __future__ import annotations

from pathlib import Path

from config import settings
from training.release import model_store, traffic_split
from training.release.pointer import Pointer
from training.release.traffic_split import InvalidTrafficSplit, TrafficSplit

ACTIVE_FILE = "active.json"
MAX_LISTED = 10


class UnknownRelease(LookupError):
    """The store has no such release, or not the whole of it."""


def open_pointer() -> Pointer:
    """The pointer of this installation."""
    return Pointer(settings.load_settings().releases / ACTIVE_FILE)


def traffic_split_file() -> Path:
    """The shares of this installation."""
    return settings.load_settings().releases / traffic_split.TRAFFIC_SPLIT_FILE


def activate(release: str) -> list[str]:
    """Give everybody `release`; what was done, line by line.

    Raises:
        UnknownRelease: it is not in the store.
    """
    path = _path_of(release)
    # First the release, then the shares, so that a service need not load again what was in a share.
    open_pointer().activate(release, path)
    return [f"{release} is in service for everybody", *_end_traffic_split()]


def rollback() -> list[str]:
    """Give everybody the release that was in service before; what was done, line by line.

    Raises:
        NothingToRollBack: there is none, or it is gone from the store; shares stay as they are.
    """
    before = open_pointer()
    before.previous()
    ended = _end_traffic_split()
    return [f"rolled back: {before.rollback()} is in service for everybody", *ended]


def canary(release: str, share: float, experiment: str | None = None) -> list[str]:
    """Give a share of the users `release`, 0 ends it; what was done, line by line.

    Raises:
        UnknownRelease: it is not in the store.
        SharesRejected: a share out of range, too much in all, another experiment goes on, or there is no production.
    """
    active = open_pointer().active
    now = traffic_split.read(traffic_split_file())
    if share == 0:
        if release not in {one.release for one in now.canaries}:
            raise InvalidTrafficSplit(f"release {release} has no share that could end; {_describe_split(now)}")
        path = Path()
    else:
        path = _path_of(release)
        if active is None:
            raise InvalidTrafficSplit(f"no release is in service beside which {release} could be; activate one first")
        if release == active:
            raise InvalidTrafficSplit(f"{release} is the release of everybody already; name another")
    changed = now.with_share(release, path, share, experiment)
    traffic_split.write(traffic_split_file(), changed)
    return [_describe_split(changed)]


def describe_releases() -> list[str]:
    """What is in service and what could be, line by line."""
    known = ", ".join(model_store.list_versions()[:MAX_LISTED]) or "none"
    return [
        f"in service: {open_pointer().active or 'none'}",
        _describe_split(traffic_split.read(traffic_split_file())),
        f"in the store, newest first: {known}",
    ]


def _describe_split(now: TrafficSplit) -> str:
    if not now.canaries:
        return "no shares: everybody gets the release in service"
    parts = ", ".join(f"{one.release} {one.share:.1%}" for one in now.canaries)
    return f"experiment {now.experiment}: {parts}, the rest {open_pointer().active}"


def _path_of(release: str) -> Path:
    path = model_store.find_version(release) if model_store.is_valid_version(release) else None
    if path is None:
        known = ", ".join(model_store.list_versions()[:MAX_LISTED]) or "none, run `python -m training.release` first"
        raise UnknownRelease(f"release {release[:80]!r} is not in the store, or not whole; there are: {known}")
    return path


def _end_traffic_split() -> list[str]:
    now = traffic_split.read(traffic_split_file())
    if not now.canaries:
        return []
    traffic_split.write(traffic_split_file(), TrafficSplit())
    return [f"ended: {_describe_split(now).split(', the rest')[0]}"]
