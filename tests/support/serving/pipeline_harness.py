"""Track pipeline over an in-memory store, with a manual clock."""

import time

from prometheus_client import CollectorRegistry

from event_store.sqlite_stores import SqliteServingState
from serving.observability.metrics import Metrics
from serving.pipeline.pipelines import Pipelines
from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.recall import Recall
from tests.support.serving.small_release import MemoryStore

NOW = 1_800_000_000_000_000
DAY = 86_400_000_000


def ids(answer):
    """Track ids of an answer."""
    return [item.track_id for item in answer.items]


class Bench:
    """Starts a pipeline; `ask` returns track ids."""

    def __init__(self, folder, deadline_s=60.0):
        self.folder, self.deadline_s = folder, deadline_s
        self.store, self.now = MemoryStore(), NOW
        self.start()

    def start(self):
        """Restart: only the disk and the store keep their state."""
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.state = SqliteServingState(self.folder / "serving", lambda: time.time_ns() // 1000)
        self.recall = Recall(self.metrics, self.deadline_s)
        self.hydrate = Hydrator(self.store, self.metrics)
        self.path = Pipelines(self.hydrate, self.recall, self.state, self.metrics)

    def load(self, of, user_id="u", scene="daily", at_us=None):
        """The state of a user."""
        return self.hydrate.load_user_state(read_request(user_id, scene, None, at_us or self.now), of)

    def answer(self, of, user_id="u", limit=10, scene="daily", discovery=None):
        return self.path.recommend(read_request(user_id, scene, limit, self.now, discovery), of)

    def ask(self, of, **request):
        return ids(self.answer(of, **request))

    def exposures(self):
        """The records of responses that were shown."""
        return [record for _, record in self.state.read(None, 1000)]

    def count(self, name, **labels):
        return self.registry.get_sample_value(f"{name}_total", labels) or 0
