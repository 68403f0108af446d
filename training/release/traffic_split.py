"""Which releases stand beside the one in production, and who gets them: `bentoml/shares.json`, replaced whole.

`{"experiment", "beside": [{"release", "path", "share"}], "since", "history": [{"experiment", "beside", "since", "until"}]}`,
newest last; empty `beside` means that everybody gets production. The history says what shares to expect of a day.

A user's place is a salted hash, uniform over [0, 1): the shares are laid end to end from 0 in their order, production has
the rest. The salt is the experiment's name, so that two experiments divide users independently of each other. Who is
in a share that grows stays in it; only with several shares do users move between them, where an earlier one changes.
Knows nothing about what a release is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.data.user_sampling import hash_bucket

TRAFFIC_SPLIT_FILE = "shares.json"
MAX_CANARY_RELEASES = 4
"""Releases beside production: each lies in the memory of every service."""
MAX_EXPERIMENT_NAME_BYTES = 64
MAX_HISTORY_ENTRIES = 200
PRODUCTION = "production"


class InvalidTrafficSplit(ValueError):
    """Shares that cannot be given; the message names the value and the remedy."""


@dataclass(frozen=True)
class CanaryRelease:
    """A release beside production for a `share` of the users, above 0 and at most 1."""

    release: str
    path: str
    share: float


@dataclass(frozen=True)
class TrafficSplit:
    """Who gets what: at most MOST releases, their shares at most 1 in all."""

    experiment: str = ""
    canaries: tuple[CanaryRelease, ...] = ()

    def __post_init__(self) -> None:
        names, total = [one.release for one in self.canaries], sum(one.share for one in self.canaries)
        if len(names) > MAX_CANARY_RELEASES or len(set(names)) < len(names):
            raise InvalidTrafficSplit(
                f"{len(names)} releases beside production, {', '.join(names)}: at most {MAX_CANARY_RELEASES} different ones can be; "
                "end one with --share 0"
            )
        for one in self.canaries:
            if not 0 < one.share <= 1:
                raise InvalidTrafficSplit(f"share {one.share:g} of {one.release} is not above 0 and at most 1")
        if total > 1 + 1e-9:
            parts = " + ".join(f"{one.share:g} ({one.release})" for one in self.canaries)
            raise InvalidTrafficSplit(
                f"shares {parts} are {total:g}, more than all users; give less, or end one with --share 0"
            )
        name = self.experiment
        if self.canaries and not (
            name.isprintable() and name.strip() and len(name.encode()) <= MAX_EXPERIMENT_NAME_BYTES
        ):
            raise InvalidTrafficSplit(
                f"experiment {name[:80]!r} is not 1 to {MAX_EXPERIMENT_NAME_BYTES} bytes of printable text"
            )

    def assign_release(self, user_id: str) -> str | None:
        """The release beside production that is the user's; None: production."""
        place, end = hash_bucket(user_id, self.experiment), 0.0
        for one in self.canaries if user_id else ():
            end += one.share
            if place < end:
                return one.release
        return None

    def with_share(self, release: str, path: Path, share: float, experiment: str | None = None) -> TrafficSplit:
        """These with another share of `release`, in its place or as the last; 0 ends it.

        The first begins an experiment, named after it unless `experiment` says otherwise.

        Raises:
            SharesRejected: a share out of range, too much in all, or another experiment than the one that goes on.
        """
        if self.canaries and experiment not in (None, self.experiment):
            raise InvalidTrafficSplit(
                f"experiment {self.experiment!r} goes on; end its shares with --share 0, then begin {experiment!r}"
            )
        one = CanaryRelease(release, str(path), share)
        kept = [one if other.release == release else other for other in self.canaries]
        if one not in kept:
            kept.append(one)
        if share == 0:
            kept.remove(one)
        return TrafficSplit((self.experiment if self.canaries else experiment or release) if kept else "", tuple(kept))


def parse(text: str) -> TrafficSplit:
    """What the text of the file says.

    Raises:
        ValueError, KeyError, TypeError: it is not what `write` wrote.
    """
    content = json.loads(text)
    return TrafficSplit(content["experiment"], tuple(CanaryRelease(**one) for one in content["beside"]))


def read(file: Path) -> TrafficSplit:
    """The shares in `file`; none where it is missing."""
    return parse(file.read_text()) if file.exists() else TrafficSplit()


def write(file: Path, shares: TrafficSplit) -> None:
    """Put the shares in the place of those in `file`, whole; the same change nothing."""
    before: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    if read(file) == shares:
        return
    now = datetime.now(UTC).isoformat()
    history = before["history"] if before else []
    if before and before["beside"]:
        left = {name: before[name] for name in ("experiment", "beside", "since")}
        history = [*history, left | {"until": now}][-MAX_HISTORY_ENTRIES:]
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".writing")
    draft.write_text(json.dumps(asdict(shares) | {"since": now, "history": history}, indent=2) + "\n")
    draft.replace(file)
