"""Release manager: follows `active.json` and `shares.json`, loads and warms new releases, and swaps them in atomically.

A request takes its release once and keeps it, so a response never mixes releases, and a swap waits for no request. All workers of
a service switch at the same time, when each of them has loaded what is new. A release
that cannot be loaded or fails its warm-up is rejected and counted, and the previous one stays in service. Releases without
users are dropped, so memory holds those in service and, while loading, one more.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config import garbage_collector
from releases import traffic_split
from releases.pointer import release_folder
from releases.traffic_split import PRODUCTION, TrafficSplit
from serving.errors import NO_RELEASE_MESSAGE, NotReady
from serving.observability.degraded_parts import RELEASE, Degradation
from serving.observability.metrics import Metrics
from serving.releases.served_release import ServedRelease

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActiveReleases:
    """Snapshot of the releases in service: production, and warm canaries by id with the traffic split."""

    production: ServedRelease | None = None
    canaries: Mapping[str, ServedRelease] = field(default_factory=dict)
    traffic_split: TrafficSplit = field(default_factory=TrafficSplit)

    def without(self, rejected: Collection[str], before: ActiveReleases) -> ActiveReleases:
        """This without the rejected releases; production stays as `before` instead."""
        is_rejected = self.production is not None and self.production.release_id in rejected
        canaries = {name: one for name, one in self.canaries.items() if name not in rejected}
        return ActiveReleases(before.production if is_rejected else self.production, canaries, self.traffic_split)

    def release_for(self, user_id: str) -> tuple[ServedRelease | None, str]:
        """The release that serves a user, and the user's arm of the experiment.

        The arm is "" without an experiment, without a user, and for a user whose release is not in service: production serves
        them instead, which must not count in the comparison.
        """
        if not self.traffic_split.canaries or not user_id:
            return self.production, ""
        name = self.traffic_split.assign_release(user_id)
        if name is None:
            return self.production, f"{self.traffic_split.experiment}/{PRODUCTION}"
        release = self.canaries.get(name)
        return (release, f"{self.traffic_split.experiment}/{name}") if release is not None else (self.production, "")


class ReleaseManager:
    """Holds the releases in service; `poll`, which is called every second, replaces them.

    Args:
        active: Pointer file `{"release": …, "path": …}`, written atomically by `training.release`; `shares.json` is in the same
            folder.
        load: Loads a release from its folder.
        warm_up: Raises if the release cannot answer requests.
        metrics: Metrics of the service.
        degradation: Where rejected releases are reported.
        agree: When to switch to a version of the files whose releases are loaded, see `serving.workers.Workers.switch_time`; the
            default is at once.
    """

    def __init__(
        self,
        active: Path,
        load: Callable[[Path], ServedRelease],
        warm_up: Callable[[ServedRelease], None],
        metrics: Metrics,
        degradation: Degradation,
        agree: Callable[[str, list[str]], tuple[int, set[str]] | None] = lambda *_: (0, set()),
    ) -> None:
        self._active, self._traffic_split_file = active, active.with_name(traffic_split.TRAFFIC_SPLIT_FILE)
        self._load, self._warm_up, self._metrics, self._agree = load, warm_up, metrics, agree
        self._degradation = degradation
        self._now = self._settled = ActiveReleases()
        self._prepared: ActiveReleases | None = None
        self._scheduled: tuple[int, ActiveReleases] | None = None
        self._loaded: dict[tuple[str, str], ServedRelease] = {}
        self._rejected: dict[str, dict[str, Any]] = {}
        self._last_read: tuple[tuple[str, int], ...] = (("", 0), ("", 0))
        self._reported_shares: dict[str, float] = {}

    @property
    def current(self) -> ServedRelease | None:
        """The production release; None before the first."""
        return self._snapshot().production

    @property
    def releases(self) -> list[ServedRelease]:
        """The production release and the canaries in service."""
        now = self._snapshot()
        others = [
            one for name, one in now.canaries.items() if now.production is None or name != now.production.release_id
        ]
        return [one for one in (now.production, *others) if one is not None]

    def release_for(self, user_id: str) -> tuple[ServedRelease, str]:
        """See `ActiveReleases.release_for`, for the current snapshot.

        Raises:
            NotReady: No release is in service yet.
        """
        release, arm = self._snapshot().release_for(user_id)
        if release is None:
            raise NotReady(NO_RELEASE_MESSAGE)
        return release, arm

    def serving_release(self, user_id: str) -> ServedRelease:
        """The release that serves a user.

        Raises:
            NotReady: No release is in service yet.
        """
        return self.release_for(user_id)[0]

    def status(self) -> dict[str, Any]:
        """Releases in service and rejected releases, for operators."""
        now, rejected = self._snapshot(), self._rejected
        return {
            "release": now.production.release_id if now.production else None,
            "experiment": now.traffic_split.experiment or None,
            "canaries": [
                {"release": one.release, "share": one.share, "is_in_service": one.release in now.canaries}
                for one in now.traffic_split.canaries
            ],
            "rejected": list(rejected.values()),
        }

    def poll(self) -> bool:
        """Load what the files name, and switch to it at the agreed time; return whether the releases in service changed.

        Rejected releases are retried when one of the files changes.
        """
        read = _text(self._active), _text(self._traffic_split_file)
        if read != self._last_read:
            self._last_read, self._rejected, self._scheduled = read, {}, None
            self._prepared = self._prepare(read[0][0], read[1][0])
        if self._prepared is not None:
            version = hashlib.sha256(repr(self._last_read).encode()).hexdigest()
            agreed = self._agree(version, list(self._rejected))
            if agreed is not None:
                self._scheduled = agreed[0], self._prepared.without(agreed[1], self._now)
                self._prepared = None
        before, now = self._settled, self._snapshot()
        self._settled = now
        self._evict_unused()
        if now != before:
            self._log_changes(before, now)
        self._update_metrics()
        return now != before

    def _snapshot(self) -> ActiveReleases:
        """The releases in service now; the scheduled ones from their time on."""
        scheduled = self._scheduled
        if scheduled is not None and time.time_ns() // 1000 >= scheduled[0]:
            self._now, self._scheduled = scheduled[1], None
        return self._now

    def _prepare(self, active: str, split: str) -> ActiveReleases:
        """The releases that the files name, loaded; the present ones instead of what is damaged or rejected."""
        now = self._now
        production, wanted = now.production, now.traffic_split
        try:
            if active:
                pointer = json.loads(active)
                key = self._key(str(pointer["release"]), str(pointer["path"]))
                production = self._warm(key) or production
        except Exception as error:
            self._reject(str(self._active), error)
        try:
            wanted = traffic_split.parse(split) if split else TrafficSplit()
            keys = {one.release: self._key(one.release, one.path) for one in wanted.canaries}
        except Exception as error:
            self._reject(str(self._traffic_split_file), error)
            return ActiveReleases(production, now.canaries, now.traffic_split)
        canaries = {name: release for name, key in keys.items() if (release := self._warm(key)) is not None}
        return ActiveReleases(production, canaries, wanted)

    def _log_changes(self, before: ActiveReleases, now: ActiveReleases) -> None:
        if now.production is not None and now.production is not before.production:
            self._metrics.release_loaded_at.set(time.time())
            logger.info("release %s is in service", now.production.release_id)
        if now.traffic_split != before.traffic_split:
            logger.info("the traffic split is now %s", {one.release: one.share for one in now.traffic_split.canaries})

    def _key(self, release: str, path: str) -> tuple[str, str]:
        """Id and folder of a release that one of the files names."""
        return release, str(release_folder(self._active.parent, path))

    def _warm(self, key: tuple[str, str]) -> ServedRelease | None:
        """The release of an id and a folder, loaded if necessary; None if it is rejected."""
        name, path = key
        if name in self._rejected:
            return None
        if key not in self._loaded:
            try:
                release = self._load(Path(path))
                if release.release_id != name:
                    raise ValueError(f"{path} holds release {release.release_id}, not {name}; release it again")
                self._warm_up(release)
            except Exception as error:
                self._reject(name, error)
                return None
            self._loaded[key] = release
            garbage_collector.freeze_gc()
            self._metrics.releases.labels("served").inc()
        return self._loaded[key]

    def _reject(self, name: str, error: Exception) -> None:
        serving = self._now.production.release_id if self._now.production else "none"
        logger.error("release %s is rejected; %s stays in service", name, serving, exc_info=error)
        self._metrics.releases.labels("refused").inc()
        self._rejected = self._rejected | {name: {"release": name, "why": str(error), "at_s": round(time.time(), 3)}}

    def _evict_unused(self) -> None:
        """Drop releases without users; running requests keep theirs until they end."""
        scheduled = self._scheduled[1] if self._scheduled is not None else None
        used = [one for one in (self._now, self._prepared, scheduled) if one is not None]
        active = [release for one in used for release in (one.production, *one.canaries.values())]
        for key, release in list(self._loaded.items()):
            if not any(release is one for one in active):
                del self._loaded[key]
                logger.info("release %s has left service", release.release_id)

    def _update_metrics(self) -> None:
        now = self._now
        shares = dict.fromkeys(self._reported_shares, 0.0)  # resets the metric of dropped releases
        shares |= {one.release: one.share for one in now.traffic_split.canaries if one.release in now.canaries}
        if now.production:
            name = now.production.release_id
            others = sum(share for release, share in shares.items() if release != name)
            shares[name] = max(0.0, 1.0 - others)
        for release, share in shares.items():
            self._metrics.release_share.labels(release).set(share)
        self._reported_shares = shares
        self._metrics.releases_rejected.set(len(self._rejected))
        if self._rejected:
            first = next(iter(self._rejected.values()))
            serving = now.production.release_id if now.production else "no release"
            why = f"{first['release']} was rejected; {serving} stays in service"
            self._degradation.report(RELEASE, why, str(first["why"]))
        else:
            self._degradation.clear(RELEASE)


def _text(file: Path) -> tuple[str, int]:
    """Text and time of a file, which tells an earlier version from the same one that is activated again."""
    try:
        # Damaged content is rejected by its parser.
        return file.read_text(encoding="utf-8", errors="replace"), file.stat().st_mtime_ns
    except FileNotFoundError:
        return "", 0
