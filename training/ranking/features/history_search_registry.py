"""Further searches by name, in the order of their columns; to add one, write a file here and a line below."""

from __future__ import annotations

from collections.abc import Iterable

from training.ranking.features.content_similarity import CONTENT_FEATURES
from training.ranking.features.context_search import ContextFeatures
from training.ranking.features.genre_search import GENRE_FEATURES
from training.ranking.features.history_match import EVENT_MATCH_FEATURES, MATCH_FEATURES
from training.ranking.features.history_search import HistorySearch
from training.ranking.features.neighbor_search import NeighbourSearch
from training.ranking.features.recency_search import RecencyFeatures
from training.ranking.features.time_decay_search import TimeDecaySearch
from training.ranking.features.user_features import LONG_WINDOWS

SEARCHES: dict[str, type[HistorySearch]] = {
    "lately": RecencyFeatures,
    "fading": TimeDecaySearch,
    "neighbours": NeighbourSearch,
    "situations": ContextFeatures,
}


def select_searches(names: Iterable[str]) -> tuple[type[HistorySearch], ...]:
    """Return the searches of the given names, in the order of the table.

    Raises:
        ValueError: There is no such search.
    """
    selected = set(names)
    if unknown := selected - set(SEARCHES):
        raise ValueError(f"searches {sorted(unknown)} are unknown; choose from {', '.join(SEARCHES)}")
    return tuple(search for name, search in SEARCHES.items() if name in selected)


def count_user_features(hard_search: bool, names: Iterable[str]) -> int:
    """Return the number of user features from the long history."""
    return len(LONG_WINDOWS) + sum(search.user_feature_count for search in select_searches(names)) if hard_search else 0


def count_match_features(
    hard_search: bool, names: Iterable[str], impressions: bool = False, genres: bool = False, content: bool = False
) -> int:
    """Return the number of candidate features from the searched histories.

    Args:
        hard_search: Whether histories are searched at all.
        names: Further searches.
        impressions: Whether unclicked impressions are searched too.
        genres: Whether the genre features are computed.
        content: Whether the content similarity is computed.
    """
    if not hard_search:
        return 0
    further = sum(search.candidate_feature_count for search in select_searches(names))
    switched = ((impressions, 2 * EVENT_MATCH_FEATURES), (genres, GENRE_FEATURES), (content, CONTENT_FEATURES))
    return MATCH_FEATURES + sum(columns for is_read, columns in switched if is_read) + further
