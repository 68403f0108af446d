"""Further searches by name, in the order in which their numbers stand. A new one is a file beside this and a line here."""

from __future__ import annotations

from collections.abc import Iterable

from training.ranking.features.context_search import ContextFeatures
from training.ranking.features.genre_search import GENRE_FEATURES
from training.ranking.features.history_match import EVENT_MATCH_FEATURES, MATCH_FEATURES
from training.ranking.features.history_search import Search
from training.ranking.features.neighbour_search import NeighbourSearch
from training.ranking.features.recency_search import RecencyFeatures
from training.ranking.features.time_decay_search import TimeDecaySearch
from training.ranking.features.user_features import LONG_WINDOWS

SEARCHES: dict[str, type[Search]] = {
    "lately": RecencyFeatures,
    "fading": TimeDecaySearch,
    "neighbours": NeighbourSearch,
    "situations": ContextFeatures,
}


def select_searches(names: Iterable[str]) -> tuple[type[Search], ...]:
    """The searches of those names, in the table's order.

    Raises:
        ValueError: there is no such search.
    """
    asked = set(names)
    if unknown := asked - set(SEARCHES):
        raise ValueError(f"searches {sorted(unknown)} are unknown; choose from {', '.join(SEARCHES)}")
    return tuple(search for name, search in SEARCHES.items() if name in asked)


def count_user_features(hard_search: bool, names: Iterable[str]) -> int:
    """How many numbers of the user come from the long history."""
    return len(LONG_WINDOWS) + sum(search.user_feature_count for search in select_searches(names)) if hard_search else 0


def count_match_features(
    hard_search: bool, names: Iterable[str], impressions: bool = False, genres: bool = False
) -> int:
    """How many numbers of a candidate come from the histories that are searched: impressions among them or not, by track
    and artist alone or by kinds of music too.
    """
    if not hard_search:
        return 0
    further = sum(search.candidate_feature_count for search in select_searches(names))
    return (
        MATCH_FEATURES + (2 * EVENT_MATCH_FEATURES if impressions else 0) + (GENRE_FEATURES if genres else 0) + further
    )
