"""Tracks of a release by title and artist, for listens that name no track."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np

from sequences.sequence_batch import FIRST_CODE
from training.data.catalog import Catalog


class TrackNames:
    """An index of hashes, which takes 16 bytes per name. Upper case and repeated spaces make no difference."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        keys, items = array("q"), array("q")
        for item in range(FIRST_CODE, len(catalog.titles_V)):
            for name in self._names(item):
                keys.append(hash(name))
                items.append(item)
        keys_N, items_N = np.array(keys), np.array(items)
        # Of equal names, the most played track that may be served: items are numbered by decreasing play count.
        order_N = np.lexsort((items_N, ~catalog.is_served_V[items_N], keys_N))
        self._keys_N, self._items_N = keys_N[order_N], items_N[order_N]

    def find(self, title: str, artist: str) -> int | None:
        """The item with this title, and with this artist or these artists, separated by commas; None without one."""
        name = _plain(title), _plain(artist)
        first = int(np.searchsorted(self._keys_N, hash(name), "left"))
        after = int(np.searchsorted(self._keys_N, hash(name), "right"))
        return next((item for item in self._items_N[first:after].tolist() if name in self._names(item)), None)

    def _names(self, item: int) -> Iterator[tuple[str, str]]:
        title, artists = _plain(self._catalog.titles_V[item]), self._catalog.artist_names_V[item]
        if title:
            yield from ((title, artist) for artist in {*map(_plain, artists), _plain(", ".join(artists))})


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
