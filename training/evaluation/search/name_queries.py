"""Titles of a catalog as queries, without and with a typing error."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from training.search.text_normalization import normalize

NAMES = 200
"""Most titles of a catalog that are misspelled."""
MIN_LETTERS = 5
"""The longest word of a title has at least this many letters a to z; errors in shorter words make other words."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(f"[a-z]{{{MIN_LETTERS},}}")


@dataclass(frozen=True)
class NameQuery:
    """A title, the same with one error, and the tracks that have it."""

    title: str
    misspelled: str
    items: frozenset[int]


def sample_names(tracks: pl.DataFrame, seed: int = 0) -> list[NameQuery]:
    """At most NAMES titles, in random order.

    Args:
        tracks: The catalog, with the columns `item` and `title`.
        seed: Of the sample and of the errors.
    """
    items_of: dict[str, set[int]] = {}
    if "title" in tracks.columns:
        for item, title in tracks.select("item", "title").drop_nulls().iter_rows():
            items_of.setdefault(normalize(title), set()).add(item)
    random = np.random.default_rng(seed)
    titles = [title for title in items_of if _WORD.search(title)]
    queries = []
    for index in random.permutation(len(titles))[:NAMES].tolist():
        misspelled = misspell(titles[index], random)
        if misspelled not in items_of:
            queries.append(NameQuery(titles[index], misspelled, frozenset(items_of[titles[index]])))
    return queries


def misspell(title: str, random: np.random.Generator) -> str:
    """The title with one error in its longest word, not in its first letter.

    A letter is left out, doubled or replaced, or two neighbors change places.

    Raises:
        ValueError: No word has MIN_LETTERS letters a to z.
    """
    word = max(_WORD.finditer(title), key=lambda match: len(match.group()), default=None)
    if word is None:
        raise ValueError(f"{title!r} has no word of {MIN_LETTERS} letters a to z; take another title")
    place = int(random.integers(word.start() + 1, word.end() - 1))
    before, letter, following, after = title[:place], title[place], title[place + 1], title[place + 2 :]
    other = str(random.choice([one for one in LETTERS if one != letter]))
    swapped = other + following if letter == following else following + letter
    changed = (following, letter + letter + following, other + following, swapped)[int(random.integers(4))]
    return before + changed + after
