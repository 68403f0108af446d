"""Traffic split of an A/B test: canary releases and their shares of the users, in `bentoml/shares.json`.

`{"experiment", "canaries": [{"release", "path", "share"}], "since", "history": [{"experiment", "canaries", "since",
"until"}]}`, newest last, replaced atomically. `canaries` may be empty: then, all users get production.
The history has the planned shares of earlier periods.

Users are assigned by a salted hash, uniform over [0, 1): the shares are consecutive intervals from 0 in their order,
and production has the rest. The salt is the name of the experiment, so that experiments assign users independently of
each other. Users stay in a share that grows; with several shares, changing an earlier one moves users between the later
ones.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from storage.files import atomic_write, read_json

TRAFFIC_SPLIT_FILE = "shares.json"
DAMAGED_SUFFIX = ".damaged"
MAX_CANARY_RELEASES = 4  # every service holds all canaries in memory
MAX_EXPERIMENT_NAME_BYTES = 64
MAX_HISTORY_ENTRIES = 200
PRODUCTION = "production"


class InvalidTrafficSplit(ValueError):
    """The shares are invalid; the message names the value and the remedy."""


@dataclass(frozen=True)
class CanaryRelease:
    """A release for a share of the users."""

    release: str  # id
    path: str  # relative to BentoML's home, see `pointer.release_folder`
    share: float  # of the users, above 0 and at most 1


@dataclass(frozen=True)
class TrafficSplit:
    """Assignment of users to releases: at most MAX_CANARY_RELEASES canaries with shares of at most 1 in total.

    Raises:
        InvalidTrafficSplit: The shares or the name are invalid.
    """

    experiment: str = ""
    canaries: tuple[CanaryRelease, ...] = ()

    def __post_init__(self) -> None:
        names, total = [canary.release for canary in self.canaries], sum(canary.share for canary in self.canaries)
        if len(names) > MAX_CANARY_RELEASES or len(set(names)) < len(names):
            raise InvalidTrafficSplit(
                f"{len(names)} canary releases ({', '.join(names)}): at most {MAX_CANARY_RELEASES} different ones are allowed; "
                "end one with --share 0"
            )
        for canary in self.canaries:
            if not 0 < canary.share <= 1:
                raise InvalidTrafficSplit(
                    f"share {canary.share:g} of {canary.release} is not above 0 and at most 1; set it again with "
                    f"`canary {canary.release} --share 0.1`, or end it with `--share 0`"
                )
        if total > 1 + 1e-9:
            parts = " + ".join(f"{canary.share:g} ({canary.release})" for canary in self.canaries)
            raise InvalidTrafficSplit(
                f"shares {parts} sum to {total:g}, which exceeds 1; reduce one, or end one with --share 0"
            )
        name = self.experiment
        if self.canaries and not (
            name.isprintable() and name.strip() and len(name.encode()) <= MAX_EXPERIMENT_NAME_BYTES
        ):
            raise InvalidTrafficSplit(
                f"experiment {name[:80]!r} is not a name; give 1 to {MAX_EXPERIMENT_NAME_BYTES} bytes of printable text"
            )

    def assign_release(self, user_id: str) -> str | None:
        """Canary release of a user; None for production, also for the empty user id."""
        bucket, end = hash_bucket(user_id, self.experiment), 0.0
        for canary in self.canaries if user_id else ():
            end += canary.share
            if bucket < end:
                return canary.release
        return None

    def with_share(self, release: str, path: Path | str, share: float, experiment: str | None = None) -> TrafficSplit:
        """A copy with another share of `release`, which keeps its position or becomes the last; 0 removes it.

        The first canary starts an experiment, named `experiment` or, without a name, like the release.

        Raises:
            InvalidTrafficSplit: A share is out of range, the total exceeds 1, or another experiment is active.
        """
        if self.canaries and experiment not in (None, self.experiment):
            raise InvalidTrafficSplit(
                f"experiment {self.experiment!r} is active; end its shares with --share 0, then start {experiment!r}"
            )
        changed = CanaryRelease(release, str(path), share)
        canaries = [changed if canary.release == release else canary for canary in self.canaries]
        if changed not in canaries:
            canaries.append(changed)
        if share == 0:
            canaries.remove(changed)
        name = (self.experiment if self.canaries else experiment or release) if canaries else ""
        return TrafficSplit(name, tuple(canaries))


def parse(text: str) -> TrafficSplit:
    """Traffic split from the content of the file.

    Raises:
        ValueError, KeyError, TypeError: The content is invalid.
    """
    content = json.loads(text)
    canaries = tuple(CanaryRelease(**canary) for canary in content["canaries"])
    for canary in canaries:
        if not (isinstance(canary.release, str) and isinstance(canary.path, str)):
            raise TypeError(f"release {canary.release!r} at {canary.path!r} is no text")
    return TrafficSplit(content["experiment"], canaries)


def read(file: Path) -> TrafficSplit:
    """Traffic split in `file`; an empty one if the file does not exist.

    Raises:
        InvalidTrafficSplit: The file is damaged.
    """
    try:
        return parse(file.read_text()) if file.exists() else TrafficSplit()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidTrafficSplit(
            f"{file} is damaged ({error}); `python -m releases end` moves it away, then set the shares again"
        ) from error


def move_damaged(file: Path) -> str:
    """Move a damaged traffic split away, which ends its shares; returns a line that says so, "" if it is not damaged."""
    try:
        read(file)
    except InvalidTrafficSplit:
        damaged = file.with_name(file.name + DAMAGED_SUFFIX)
        file.replace(damaged)
        return f"ended: {file} was damaged and is now {damaged.name}"
    return ""


def write(file: Path, split: TrafficSplit) -> None:
    """Replace the traffic split in `file` atomically and extend its history; an equal split changes nothing."""
    if read(file) == split:
        return
    previous, now = read_json(file), datetime.now(UTC).isoformat()
    history = previous.get("history", [])
    if previous.get("canaries"):
        period = {name: previous[name] for name in ("experiment", "canaries", "since")}
        history = [*history, period | {"until": now}][-MAX_HISTORY_ENTRIES:]
    content = {"experiment": split.experiment, "canaries": [asdict(canary) for canary in split.canaries]}
    atomic_write(file, json.dumps(content | {"since": now, "history": history}, indent=2) + "\n")


def hash_bucket(user_id: str, salt: str) -> float:
    """Bucket of a user in [0, 1): uniform over users, constant for one salt, independent between salts."""
    key = hashlib.sha256(salt.encode()).digest()
    number = int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8, key=key).digest())
    return (number >> 11) / (1 << 53)  # 53 bits, the precision of a float; more could round up to 1
