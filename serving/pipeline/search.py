"""Search of tracks by text: filters, the user's taste, and the reason of each match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from recommender.catalog.catalog import Catalog
from recommender.recall.reason import Reason
from recommender.search.track_search import Match
from recommender.slate.filters import FilterContext, apply_filters
from recommender.user.user_batch import UserBatch
from recommender.user.user_history import HISTORY_VIEW, is_listened
from sequences.sequence_batch import FIRST_CODE
from serving.pipeline.response import MOST_PLAYED, ResponseItem, true_reason
from serving.releases.served_release import ServedRelease

NAME_REASONS = {
    "title": Reason("title_matches"),
    "artist": Reason("artist_matches"),
    "album": Reason("album_matches"),
}
MAX_SCANNED_TRACKS = 50_000
"""Number of most played tracks that are read for an empty query, whatever the size of the catalog."""
MAX_HISTORY = 200
"""Number of newest listens that a user's taste is derived from."""


@dataclass(frozen=True)
class SearchAnswer:
    """Tracks of a search, and parts of the query that they do not meet → why."""

    results: list[ResponseItem]
    unmet: dict[str, str] = field(default_factory=dict)


def search(
    query: str, limit: int, release: ServedRelease, context: FilterContext, users: UserBatch | None = None
) -> SearchAnswer:
    """At most `limit` tracks that pass the filters, best first; for an empty query the most played ones.

    Args:
        query: In words of any kind, see `recommender.search`.
        limit: Number of tracks.
        release: The release.
        context: Catalog, user and time of the request.
        users: The user, whose taste decides between similarly good matches; None for a request without a user.
    """
    if not query.strip():
        return SearchAnswer(_most_played(limit, release, context))
    affinity = _build_affinity(users, release.catalog) if users is not None else None
    parsed = release.search.parse(query, _day(context.at_us), 2 * limit)
    matches = release.search.rank(parsed, limit, lambda items: _is_allowed(items, context), affinity)
    unmet = _describe_unknown(parsed.unknown)
    if partial := sum(match.is_partial for match in matches):
        unmet["facets"] = (
            f"{partial} of {len(matches)} tracks lack a style or language that the query names, or have the opposite of its "
            "mood; there are not enough others"
        )
    return SearchAnswer([_result(match.item, match.score, _reason(match), release) for match in matches], unmet)


def find_unmet_title(title: str, release: ServedRelease, at_us: int) -> dict[str, str]:
    """Words of the title of a playlist that were not understood, as `SearchAnswer.unmet`."""
    return _describe_unknown(release.search.parse(title, _day(at_us)).unknown) if title else {}


def _describe_unknown(texts: Sequence[str]) -> dict[str, str]:
    return {"words": f"not understood, or not in the catalog: {', '.join(texts)}"} if texts else {}


def _day(at_us: int) -> date:
    return datetime.fromtimestamp(at_us / 1e6, UTC).date()


def _most_played(limit: int, release: ServedRelease, context: FilterContext) -> list[ResponseItem]:
    # Items are numbered by decreasing play count.
    items = np.arange(FIRST_CODE, min(len(release.vocabulary), FIRST_CODE + MAX_SCANNED_TRACKS))
    allowed = items[apply_filters(items, context)[0]].tolist()
    titled = [item for item in allowed if release.catalog.titles_V[item]]
    return [_result(item, 0.0, true_reason(MOST_PLAYED, item, release), release) for item in titled[:limit]]


def _is_allowed(items_C: NDArray[np.int64], context: FilterContext) -> NDArray[np.bool_]:
    """Which of the items pass the filters, bool [C]."""
    is_allowed = np.zeros(len(items_C), dtype=bool)
    is_allowed[apply_filters(items_C, context)[0]] = True
    return is_allowed


def _result(item: int, score: float, reason: Reason | None, release: ServedRelease) -> ResponseItem:
    details = release.details(item)
    return ResponseItem(("track", details["track_id"]), details, score, [], reason)


def _reason(match: Match) -> Reason | None:
    """Parts of the query that the track matches."""
    parts: list[Reason] = []
    if match.name_field:
        parts.append(NAME_REASONS[match.name_field])
    if match.facets:
        parts.append(Reason("has_facets", {"facets": tuple(value for _, value in match.facets)}))
    if match.released_on is not None:
        parts.append(Reason("released_in", {"year": match.released_on.year}))
    if match.is_by_text:
        parts.append(Reason("similar_texts"))
    if match.words:
        parts.append(Reason("has_words", {"words": " ".join(match.words)}))
    return Reason("matches_query", {"parts": tuple(parts)}) if parts else None


def _build_affinity(users: UserBatch, catalog: Catalog) -> Callable[[NDArray[np.int64]], NDArray[np.float64]] | None:
    """Cosine similarity of facet values between an item and the user's newest listens; None without listens."""
    history = users.views.get(HISTORY_VIEW)
    if history is None:
        return None
    items = history.columns["track_id"][0][is_listened(history)[0]][-MAX_HISTORY:]
    items = items[items >= FIRST_CODE]
    facets = catalog.facets
    values = [facets.value_N[facets.offset_V1[item] : facets.offset_V1[item + 1]] for item in items.tolist()]
    taste_U = np.bincount(np.concatenate(values), minlength=1).astype(np.float64) if values else np.zeros(0)
    length = float(np.linalg.norm(taste_U))
    if not length:
        return None

    def affinity(items_C: NDArray[np.int64]) -> NDArray[np.float64]:
        similarity_C = np.zeros(len(items_C))
        for place, item in enumerate(items_C.tolist()):
            value = facets.value_N[facets.offset_V1[item] : facets.offset_V1[item + 1]]
            known = value[value < len(taste_U)]
            if len(known):
                similarity_C[place] = taste_U[known].sum() / (length * np.sqrt(len(value)))
        return similarity_C

    return affinity
