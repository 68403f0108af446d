"""What is in service, and how to change it: one release for everybody, or others beside it for a share of the users.

The service follows both files within a second. A command that puts one release in service for everybody ends all
shares, so that nobody keeps a release that was meant to go.
"""

from __future__ import annotations

from pathlib import Path

import settings
from training import shares, store
from training.release.pointer import Pointer
from training.shares import Shares, SharesRejected

ACTIVE = "active.json"
SHOWN = 10


class UnknownRelease(LookupError):
    """The store has no such release, or not the whole of it."""


def pointer() -> Pointer:
    """The pointer of this installation."""
    return Pointer(settings.load().releases / ACTIVE)


def shares_file() -> Path:
    """The shares of this installation."""
    return settings.load().releases / shares.FILE


def activate(release: str) -> list[str]:
    """Give everybody `release`; what was done, line by line.

    Raises:
        UnknownRelease: it is not in the store.
    """
    path = _path_of(release)
    # First the release, then the shares, so that a service need not load again what was in a share.
    pointer().activate(release, path)
    return [f"{release} is in service for everybody", *_end_shares()]


def rollback() -> list[str]:
    """Give everybody the release that was in service before; what was done, line by line.

    Raises:
        NothingToRollBack: there is none, or it is gone from the store; shares stay as they are.
    """
    before = pointer()
    before.before()
    ended = _end_shares()
    return [f"rolled back: {before.rollback()} is in service for everybody", *ended]


def canary(release: str, share: float, experiment: str | None = None) -> list[str]:
    """Give a share of the users `release`, 0 ends it; what was done, line by line.

    Raises:
        UnknownRelease: it is not in the store.
        SharesRejected: a share out of range, too much in all, another experiment goes on, or there is no production.
    """
    active = pointer().active
    now = shares.read(shares_file())
    if share == 0:
        if release not in {one.release for one in now.beside}:
            raise SharesRejected(f"release {release} has no share that could end; {_described(now)}")
        path = Path()
    else:
        path = _path_of(release)
        if active is None:
            raise SharesRejected(f"no release is in service beside which {release} could be; activate one first")
        if release == active:
            raise SharesRejected(f"{release} is the release of everybody already; name another")
    changed = now.with_share(release, path, share, experiment)
    shares.write(shares_file(), changed)
    return [_described(changed)]


def described() -> list[str]:
    """What is in service and what could be, line by line."""
    known = ", ".join(store.versions()[:SHOWN]) or "none"
    return [
        f"in service: {pointer().active or 'none'}",
        _described(shares.read(shares_file())),
        f"in the store, newest first: {known}",
    ]


def _described(now: Shares) -> str:
    if not now.beside:
        return "no shares: everybody gets the release in service"
    parts = ", ".join(f"{one.release} {one.share:.1%}" for one in now.beside)
    return f"experiment {now.experiment}: {parts}, the rest {pointer().active}"


def _path_of(release: str) -> Path:
    path = store.path_of(release) if store.is_name(release) else None
    if path is None:
        known = ", ".join(store.versions()[:SHOWN]) or "none, run `python -m training.release` first"
        raise UnknownRelease(f"release {release[:80]!r} is not in the store, or not whole; there are: {known}")
    return path


def _end_shares() -> list[str]:
    now = shares.read(shares_file())
    if not now.beside:
        return []
    shares.write(shares_file(), Shares())
    return [f"ended: {_described(now).split(', the rest')[0]}"]
