"""Search by text: filters, the user's taste, the reason of each match, and which parts of the query were understood and met."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.catalog.catalog import Catalog
from recommender.recall.reason import Reason
from recommender.search.query_parser import Query
from recommender.search.text_normalization import join, normalize, tokens
from recommender.search.track_search import Match, not_covered
from recommender.slate.filters import FilterContext, apply_filters
from recommender.slate.scene_settings import MAX_ARTIST_SHARE_OF_SEARCH
from recommender.user.exclusions import NO_ITEMS
from recommender.user.user_batch import HISTORY_VIEW, UserBatch, is_listened
from sequences.sequence_batch import FIRST_CODE, UNKNOWN
from serving.messages import render_reason
from serving.pipeline.named_results import find_named
from serving.pipeline.response import MOST_PLAYED, ResponseItem, true_reason
from serving.releases.served_release import ServedRelease
from serving.response_schemas import UnderstoodPart

NAME_REASONS = {
    "title": Reason("title_matches"),
    "artist": Reason("artist_matches"),
    "album": Reason("album_matches"),
}
MAX_SCANNED_TRACKS = 50_000
"""Number of most played tracks that are read for an empty query, whatever the size of the catalog."""
MAX_HISTORY = 200
"""Number of newest listens that a user's taste is derived from."""
CANDIDATES_PER_TRACK = 5


@dataclass(frozen=True)
class SearchAnswer:
    """Tracks of a search; the understood parts of the query; parts that are not met → why; and other things with its name."""

    results: list[ResponseItem]
    understood: list[UnderstoodPart] = field(default_factory=list)
    unmet: Mapping[str, Reason] = field(default_factory=dict)
    named: Mapping[str, list[Any]] = field(default_factory=dict)  # see `find_named`


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
    affinity = _build_affinity(users, release.catalog)
    parsed = release.search.parse(query, _day(context.at_us), 2 * limit)

    def rank() -> list[Match]:
        count = CANDIDATES_PER_TRACK * limit
        return release.search.rank(parsed, count, lambda items: _is_allowed(items, context), affinity)

    found, named = rank(), find_named(query, parsed, release, context)
    if parsed.periods and not parsed.is_name and not any(match.released_on for match in found):
        parsed = replace(parsed, periods=(), empty_periods=[*parsed.empty_periods, *parsed.periods])
        found = rank()
    is_beginning_of_name = not found and any(named.values())
    if is_beginning_of_name or (found and found[0].is_by_text and not parsed.wanted):
        parsed = replace(parsed, unknown=())
    elif not (found or parsed.empty_periods):
        parsed = replace(parsed, unknown=parsed.unknown or [query.strip()])
    most = math.ceil(MAX_ARTIST_SHARE_OF_SEARCH * limit)
    matches, exceeding = limit_artists(found, limit, most, release.catalog)
    unmet = _find_unmet(parsed, matches)
    if exceeding:
        unmet["max_per_artist"] = Reason("few_artists", {"count": exceeding, "limit": most})
    results = [_result(match.item, match.score, _reason(match), release) for match in matches]
    return SearchAnswer(results, _understood(parsed), unmet, named)


def limit_artists(matches: Sequence[Match], limit: int, most: int, catalog: Catalog) -> tuple[list[Match], int]:
    """The best `limit` matches, with at most `most` of them by one artist whom the query does not name if there are enough
    others that are not partial; and the number of those that exceed it.
    """
    counts: Counter[int] = Counter()
    ranks = []
    for match in matches:
        artist = UNKNOWN if match.name_field in ("artist", "album") else int(catalog.main_artist_V[match.item])
        counts[artist] += artist >= FIRST_CODE
        ranks.append((match.is_partial, counts[artist] > most))
    order = sorted(range(len(matches)), key=ranks.__getitem__)[:limit]
    return [matches[place] for place in order], sum(ranks[place][1] for place in order)


def _understood(parsed: Query) -> list[UnderstoodPart]:
    """The parts of a query that decide which tracks are found."""
    names = [UnderstoodPart(kind="name", text=one.name) for one in parsed.names[:1]]
    if parsed.is_name:
        return names
    wanted = not_covered(parsed.wanted, parsed.names[0].words) if names else parsed.wanted
    facets = [
        UnderstoodPart(
            kind="facet", text=one.words, values=[value for _, value in one.weights], is_excluded=is_excluded
        )
        for concepts, is_excluded in ((wanted, False), (parsed.unwanted, True))
        for one in concepts
    ]
    periods = [
        UnderstoodPart(kind="period", text=one.words, is_excluded=is_excluded)
        for found, is_excluded in ((parsed.periods, False), (parsed.unwanted_periods, True))
        for one in found
    ]
    others = [*parsed.unknown, *(one.words for one in parsed.wanted)]  # not understood, or by their meaning
    words = join([token for token in parsed.unread if token not in tokens(normalize(" ".join(others)))])
    return [*names, *facets, *periods, *([UnderstoodPart(kind="words", text=words)] if words and not names else [])]


def _find_unmet(parsed: Query, matches: Sequence[Match]) -> dict[str, Reason]:
    unmet = {"words": _describe_unknown(parsed.unknown)} if parsed.unknown else {}
    if parsed.empty_periods:
        unmet["period"] = Reason("no_track_from", {"periods": ", ".join(one.words for one in parsed.empty_periods)})
    found = {value for match in matches for value in match.facets}
    lacking = [] if parsed.names else [concept for concept in parsed.wanted if found.isdisjoint(concept.weights)]
    if lacking:
        values = tuple(value for concept in lacking for _, value in concept.named or concept.weights)
        unmet["facets"] = Reason("no_track_has", {"facets": values})
    elif partial := sum(match.is_partial for match in matches):
        unmet["facets"] = Reason("lacks_facets", {"count": partial, "total": len(matches)})
    return unmet


def find_unmet_title(title: str, release: ServedRelease, at_us: int) -> dict[str, str]:
    """Words of the title of a playlist that were not understood, or periods without tracks, in English."""
    parsed = release.search.parse(title, _day(at_us)) if title else Query()
    texts = [*parsed.unknown, *(period.words for period in parsed.empty_periods)]
    return {"words": render_reason(_describe_unknown(texts), "en")} if texts else {}


def _describe_unknown(texts: Sequence[str]) -> Reason:
    return Reason("not_understood", {"words": ", ".join(texts)})


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


def _build_affinity(users: UserBatch | None, catalog: Catalog) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
    """Cosine similarity of facet values between an item and the user's newest listens; 0 without a user or listens."""
    items = NO_ITEMS
    if users is not None:
        history = users.views[HISTORY_VIEW]
        items = history.columns["track_id"][0][is_listened(history)[0]][-MAX_HISTORY:]
    value_N, _ = catalog.facets.values_of(items[items >= FIRST_CODE])
    taste_U = np.bincount(value_N, minlength=len(catalog.facets.names)).astype(np.float64)
    length = max(float(np.linalg.norm(taste_U)), 1.0)  # of no values it is 0

    def affinity(items_C: NDArray[np.int64]) -> NDArray[np.float64]:
        value_N, of_N = catalog.facets.values_of(items_C)
        count_C = np.maximum(np.bincount(of_N, minlength=len(items_C)), 1)
        return np.bincount(of_N, taste_U[value_N], len(items_C)) / (length * np.sqrt(count_C))

    return affinity
