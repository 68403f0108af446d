"""A source of playlist continuation with a fixed list."""

import numpy as np

from recommender.recall.channel import pad_rows


class PlaylistSource:
    """Finds fixed items for playlists with seeds, or with a title."""

    def __init__(self, name, items, needs_title=False):
        self.name, self.items, self.needs_title = name, items, needs_title

    def continue_playlist(self, items_S, title, k):
        found = (
            [one for one in self.items if one not in items_S] if (title if self.needs_title else len(items_S)) else []
        )
        return pad_rows([np.array(found, dtype=np.int64)], k)
