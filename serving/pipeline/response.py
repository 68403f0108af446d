"""Response to a request: items with source channels and reasons, and the trace of the request through the pipeline."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.recall.reason import KINDS, KINDS_PER_LIST, Reason
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.filters import FilterContext, apply_filters
from serving import response_schemas
from serving.observability.metrics import Metrics
from serving.pipeline.stages.recall import Recall, RecallResult
from serving.pipeline.user_state import STATE_FROM_CACHE, STATE_UNAVAILABLE, UserState
from serving.releases.served_release import ServedRelease

MOST_PLAYED = Reason("most_played")
DEGRADED_STATES = {
    STATE_FROM_CACHE: "the online store failed; the state of the user is from an earlier request",
    STATE_UNAVAILABLE: "the online store failed; the user is answered like an unknown one",
}
"""Source of the user state → what the response lacks."""
RECALL_FAILED = "every recall channel failed or was late; the response has popular items only, or none"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResponseItem:
    """One item of a response: a track, or a playlist or an mlog with its first playable tracks."""

    target: tuple[str, str]  # target type and id, as in events
    details: Mapping[str, Any]  # other fields of its model in `serving.response_schemas`; must not be changed
    score: float
    channels: list[str]  # sources that found it, the one that ranked it highest first
    reason: Reason | None  # None if no source could give one
    propensity: float = 1.0  # probability of an explored track, otherwise 1
    release: str = ""  # release that chose it

    @property
    def track_id(self) -> str:
        """Id of a track."""
        return self.target[1]

    @property
    def is_exploration(self) -> bool:
        """Whether it was chosen at random."""
        return self.propensity < 1


class _Stage:
    """Times a block. Not a generator, which takes three times as many calls."""

    def __init__(self, name: str, stage_ms: dict[str, float]) -> None:
        self._name, self._stage_ms = name, stage_ms

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stage_ms[self._name] = round((time.perf_counter() - self._began) * 1000, 3)


@dataclass
class Trace(response_schemas.Trace):
    """Counts and times of one request, filled in by the stages, for debugging clients, the log and the metrics."""

    @property
    def has_no_channel(self) -> bool:
        """Whether every source that was called is left out."""
        return bool(self.left_out) and not self.candidates

    def time_stage(self, stage: str) -> _Stage:
        """Record the duration of a stage, also of a failing one: `with trace.time_stage("recall"):`."""
        return _Stage(stage, self.stage_ms)

    def record_state(self, state_from: str) -> None:
        """Record the source of the user state."""
        self.state_from = state_from
        if state_from in DEGRADED_STATES:
            self.degraded["online_store"] = DEGRADED_STATES[state_from]

    def record_failure(self, part: str, why: str, metrics: Metrics) -> None:
        """Log and count the exception that is being handled, and say what the response lacks."""
        logger.exception("%s: %s", part, why)
        metrics.skipped.labels(part, "failed").inc()
        self.degraded[part] = why

    def record_recall(self, recalled: RecallResult) -> None:
        """Record the candidate count of each source, the sources left out, and whether these are all."""
        self.candidates = {name: int(np.count_nonzero(one)) for name, one in recalled.candidates.items()}
        self.left_out = dict(recalled.left_out)
        if self.has_no_channel:
            self.degraded["recall"] = RECALL_FAILED

    def filter(self, items_C: np.ndarray, context: FilterContext) -> np.ndarray:
        """Places of the items that pass the filters, ascending; records the numbers of the others."""
        places, removed = apply_filters(items_C, context)
        self.record_removed(removed)
        return places

    def record_removed(self, removed: Mapping[str, int]) -> None:
        """Add counts of removed candidates per filter."""
        for name, count in removed.items():
            self.removed[name] = self.removed.get(name, 0) + count

    def count(self, scene: str, seconds: float, metrics: Metrics) -> None:
        """Add the request to the metrics."""
        metrics.child(metrics.request_seconds, scene, self.release).observe(seconds)
        for stage, milliseconds in self.stage_ms.items():
            metrics.child(metrics.stage_seconds, stage).observe(milliseconds / 1000)
        for name, count in self.removed.items():
            if count:
                metrics.child(metrics.removed, name).inc(count)
        if self.explored:
            metrics.explored.labels(scene).inc(self.explored)


@dataclass(frozen=True)
class RecommendationResponse:
    """The response to a request.

    Attributes:
        request_id: Id of the request.
        release: Release that chose all items. If a daily list was begun by an earlier release and extended by this one, it is
            the later one, and every item names its own.
        items: Items, best first.
        trace: How the response was computed.
        arm: Arm of the experiment; empty without one.
        is_known: Whether the user has events; None for a request without a user.
    """

    request_id: str
    release: str
    items: Sequence[ResponseItem]
    trace: Trace
    arm: str = ""
    is_known: bool | None = None


def true_reason(reason: Reason | None, item: int, release: ServedRelease) -> Reason | None:
    """The reason; None if it says that a track that was at most skipped is among the most played."""
    return (
        None
        if reason is not None and reason.code == MOST_PLAYED.code and not release.catalog.is_listened_V[item]
        else reason
    )


def build_items(
    chosen: CandidateTable,
    release: ServedRelease,
    found_by: Sequence[list[str]],
    reasons: Sequence[Reason | None],
    chosen_by: Mapping[int, str] | None = None,
) -> list[ResponseItem]:
    """Add metadata and reasons to the chosen tracks.

    Args:
        chosen: Tracks of the response, in order.
        release: Release that computes the response.
        found_by: Sources that found each track, the one that ranked it highest first.
        reasons: Why each track is in the response.
        chosen_by: Item → release that chose it, if that is another one.
    """
    score_C = np.where(np.isnan(chosen.score_C), 0.0, chosen.score_C).round(6)
    columns = chosen.item_C.tolist(), score_C.tolist(), chosen.propensity_C.tolist()
    own, other = release.release_id, chosen_by or {}
    return [
        ResponseItem(
            ("track", details["track_id"]),
            details,
            score,
            sources,
            true_reason(reason, item, release),
            propensity,
            other.get(item) or own if other else own,
        )
        for item, score, propensity, sources, reason in zip(*columns, found_by, reasons, strict=True)
        for details in (release.details(item),)
    ]


def collect_reasons(
    found_by: Mapping[int, list[str]],
    user: UserState,
    release: ServedRelease,
    recall: Recall,
    metrics: Metrics,
    default: Reason = MOST_PLAYED,
) -> list[Reason | None]:
    """The reason of each item by the first of its sources, None if that fails; `default` for an item that no source found.

    At most 1 / KINDS_PER_LIST of the reasons are of one kind, as far as further sources of the items have others. Each source is
    called once for all of its items that need it, without those whose reason the state has.
    """
    asked: dict[str, list[int]] = defaultdict(list)
    for item, names in found_by.items():
        if names:
            asked[names[0]].append(item)
    _ask_sources(asked, user, release, recall, metrics)
    chosen = {item: user.reasons[names[0]][item] if names else default for item, names in found_by.items()}
    kind_of = {item: reason and KINDS.get(reason.code, reason.code) for item, reason in chosen.items()}
    kinds, most = Counter(kind_of.values()), max(len(found_by) // KINDS_PER_LIST, 1)
    for place in range(1, max(map(len, found_by.values()), default=0)):
        crowding = {kind for kind, count in kinds.items() if count > most}
        if not crowding:
            break
        asked = defaultdict(list)
        # The last items first, so that the first ones keep the reasons of their best sources.
        for item, names in reversed([*found_by.items()]):
            if kind_of[item] in crowding and len(names) > place:
                asked[names[place]].append(item)
        _ask_sources(asked, user, release, recall, metrics)
        for name, crowded in asked.items():
            for item in crowded:
                other = true_reason(user.reasons[name][item], item, release)
                if other is not None and kinds[kind_of[item]] > most > kinds[kind := KINDS.get(other.code, other.code)]:
                    kinds[kind_of[item]] -= 1
                    kinds[kind] += 1
                    chosen[item], kind_of[item] = other, kind
    return [*chosen.values()]


def _ask_sources(
    items_of: Mapping[str, list[int]], user: UserState, release: ServedRelease, recall: Recall, metrics: Metrics
) -> None:
    """Add the reasons that sources have for items to the state, None where a source fails."""
    asked = {name: [item for item in items if item not in user.reasons[name]] for name, items in items_of.items()}
    asked = {name: items for name, items in asked.items() if items}
    found: dict[str, Sequence[Reason | None]] = {**recall.reasons(release, user.users, asked)} if asked else {}
    for name, items in asked.items():
        if name not in found:
            metrics.skipped.labels(f"reason_{name}", "failed").inc()
        user.reasons[name] |= zip(items, found.get(name, [None] * len(items)), strict=True)
