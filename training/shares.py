"""Which releases stand beside the one in production, and who gets them: `bentoml/shares.json`, replaced whole.

`{"experiment", "beside": [{"release", "path", "share"}], "since", "history": [{"experiment", "beside", "since", "until"}]}`,
newest last; empty `beside` means that everybody gets production. The history says what shares to expect of a day.

A user's place is a salted hash, uniform over [0, 1): the shares are laid end to end from 0 in their order, production has
the rest. The salt is the experiment's name, so that two experiments divide users independently of each other. Who is
in a share that grows stays in it; only with several shares do users move between them, where an earlier one changes.
Knows nothing about what a release is.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "shares.json"
MOST = 4
"""Releases beside production: each lies in the memory of every service."""
LONGEST_NAME = 64
KEPT = 200
PRODUCTION = "production"


class SharesRejected(ValueError):
    """Shares that cannot be given; the message names the value and the remedy."""


@dataclass(frozen=True)
class Beside:
    """A release beside production for a `share` of the users, above 0 and at most 1."""

    release: str
    path: str
    share: float


@dataclass(frozen=True)
class Shares:
    """Who gets what: at most MOST releases, their shares at most 1 in all."""

    experiment: str = ""
    beside: tuple[Beside, ...] = ()

    def __post_init__(self) -> None:
        names, total = [one.release for one in self.beside], sum(one.share for one in self.beside)
        if len(names) > MOST or len(set(names)) < len(names):
            raise SharesRejected(
                f"{len(names)} releases beside production, {', '.join(names)}: at most {MOST} different ones can be; "
                "end one with --share 0"
            )
        for one in self.beside:
            if not 0 < one.share <= 1:
                raise SharesRejected(f"share {one.share:g} of {one.release} is not above 0 and at most 1")
        if total > 1 + 1e-9:
            parts = " + ".join(f"{one.share:g} ({one.release})" for one in self.beside)
            raise SharesRejected(
                f"shares {parts} are {total:g}, more than all users; give less, or end one with --share 0"
            )
        name = self.experiment
        if self.beside and not (name.isprintable() and name.strip() and len(name.encode()) <= LONGEST_NAME):
            raise SharesRejected(f"experiment {name[:80]!r} is not 1 to {LONGEST_NAME} bytes of printable text")

    def release_of(self, user_id: str) -> str | None:
        """The release beside production that is the user's; None: production."""
        place, end = placed(user_id, self.experiment), 0.0
        for one in self.beside if user_id else ():
            end += one.share
            if place < end:
                return one.release
        return None

    def with_share(self, release: str, path: Path, share: float, experiment: str | None = None) -> Shares:
        """These with another share of `release`, in its place or as the last; 0 ends it.

        The first begins an experiment, named after it unless `experiment` says otherwise.

        Raises:
            SharesRejected: a share out of range, too much in all, or another experiment than the one that goes on.
        """
        if self.beside and experiment not in (None, self.experiment):
            raise SharesRejected(
                f"experiment {self.experiment!r} goes on; end its shares with --share 0, then begin {experiment!r}"
            )
        one = Beside(release, str(path), share)
        kept = [one if other.release == release else other for other in self.beside]
        if one not in kept:
            kept.append(one)
        if share == 0:
            kept.remove(one)
        return Shares((self.experiment if self.beside else experiment or release) if kept else "", tuple(kept))


def placed(user_id: str, salt: str) -> float:
    """The user's place in [0, 1), always the same for one salt, and independent of it for another."""
    key = hashlib.sha256(salt.encode()).digest()
    number = int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8, key=key).digest())
    return (number >> 11) / (1 << 53)  # as many bits as a float has, or the largest would round to 1


def parse(text: str) -> Shares:
    """What the text of the file says.

    Raises:
        ValueError, KeyError, TypeError: it is not what `write` wrote.
    """
    content = json.loads(text)
    return Shares(content["experiment"], tuple(Beside(**one) for one in content["beside"]))


def read(file: Path) -> Shares:
    """The shares in `file`; none where it is missing."""
    return parse(file.read_text()) if file.exists() else Shares()


def write(file: Path, shares: Shares) -> None:
    """Put the shares in the place of those in `file`, whole; the same change nothing."""
    before: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    if read(file) == shares:
        return
    now = datetime.now(UTC).isoformat()
    history = before["history"] if before else []
    if before and before["beside"]:
        left = {name: before[name] for name in ("experiment", "beside", "since")}
        history = [*history, left | {"until": now}][-KEPT:]
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".writing")
    draft.write_text(json.dumps(asdict(shares) | {"since": now, "history": history}, indent=2) + "\n")
    draft.replace(file)
