"""Requests of several users for tests of model workers, and a channel whose candidates depend on the user."""

from dataclasses import dataclass

import numpy as np

from serving.pipeline.request import read_request
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import ListChannel, history, release, tracks
from training.recall.channel import Candidates


@dataclass(frozen=True)
class PlayCounts:
    """Plays of each request."""

    count_B: np.ndarray

    def take_rows(self, rows):
        return PlayCounts(self.count_B[rows])


class PlayedChannel(ListChannel):
    """Finds the tracks that the user has played; fails in a batch with one user. Caches the number of plays."""

    def __init__(self, name, failing_user=""):
        super().__init__(name, [])
        self.failing_user = failing_user

    def recall(self, users, k):
        if self.failing_user in users.user_ids:
            raise RuntimeError(f"{self.name} cannot read {self.failing_user}")
        users.get_or_compute(self, lambda: PlayCounts(users.views["played_history"].length_B))
        items_BH = users.history_items_BH
        scores_BH = np.where(items_BH > 0, -items_BH, -np.inf).astype(np.float32)
        return Candidates.pad_or_truncate(items_BH, scores_BH, k)


def load_requests(folder, plays_of):
    """Requests of one user each, as the hydration stage reads them: users by id with their number of plays."""
    bench = Bench(folder)
    of = release(tracks(8), [ListChannel("popularity", range(2, 10))])
    requests = []
    for user, plays in plays_of.items():
        bench.store.users[user] = history(*(f"t{number}" for number in range(plays)))
        requests.append(bench.hydrate.load_user_state(read_request(user, "daily", 3, NOW), of).users)
    return requests
