"""Further searches by name, in the order in which their numbers stand. A new one is a file beside this and a line here."""

from __future__ import annotations

from collections.abc import Iterable

from training.ranking.fading_search import FadingSearch
from training.ranking.hard_search import MATCH_FEATURES, OF_EVENTS
from training.ranking.kind_search import KIND_NUMBERS
from training.ranking.lately import Lately
from training.ranking.neighbour_search import NeighbourSearch
from training.ranking.search import Search
from training.ranking.situations import Situations
from training.ranking.user_features import LONG_WINDOWS

SEARCHES: dict[str, type[Search]] = {
    "lately": Lately,
    "fading": FadingSearch,
    "neighbours": NeighbourSearch,
    "situations": Situations,
}


def chosen(names: Iterable[str]) -> tuple[type[Search], ...]:
    """The searches of those names, in the table's order.

    Raises:
        ValueError: there is no such search.
    """
    asked = set(names)
    if unknown := asked - set(SEARCHES):
        raise ValueError(f"searches {sorted(unknown)} are unknown; choose from {', '.join(SEARCHES)}")
    return tuple(search for name, search in SEARCHES.items() if name in asked)


def user_numbers(hard_search: bool, names: Iterable[str]) -> int:
    """How many numbers of the user come from the long history."""
    return len(LONG_WINDOWS) + sum(search.user_numbers for search in chosen(names)) if hard_search else 0


def candidate_numbers(hard_search: bool, names: Iterable[str], impressions: bool = False, kinds: bool = False) -> int:
    """How many numbers of a candidate come from the histories that are searched: impressions among them or not, by track
    and artist alone or by kinds of music too.
    """
    if not hard_search:
        return 0
    further = sum(search.candidate_numbers for search in chosen(names))
    return MATCH_FEATURES + (2 * OF_EVENTS if impressions else 0) + (KIND_NUMBERS if kinds else 0) + further
