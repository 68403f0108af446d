"""Typed client of the Segue recommender.

Example:
    with SegueClient("http://127.0.0.1:3000") as segue:
        for track in segue.recommend(user_id="u0", limit=10)["items"]:
            print(track["title"], track["reason"])
"""

from .api import SegueClient
from .transport import SegueError

__all__ = ["SegueClient", "SegueError"]
