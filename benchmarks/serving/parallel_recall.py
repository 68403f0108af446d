"""Latency of the recall channels of one request in parallel, as the service runs them, compared with sequential.

Channels have the size of those of real logs: 293,000 tracks, width 64, a history of 2,000 plays, a graph with 16
neighbors per track. Weights are random, because the cost of a search does not depend on them; each library has one
thread. Results of `run(requests)`: `recall_together`, the median in ms against sequential channels, and
`recall_longest`, the longest of two concurrent requests, which must stay under the default deadline.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import torch
from prometheus_client import CollectorRegistry
from threadpoolctl import threadpool_limits

from benchmarks.result import Result, result_with_limit
from config.settings import Settings
from sequences.views import SEQUENCE_VIEWS
from serving.observability.metrics import Metrics
from serving.pipeline.stages.recall import Recall
from training.data.feature_services import ServiceContract
from training.data.user_batch import UserBatch, user_batch_from_online
from training.data.vocabulary import Vocabulary
from training.nn.item_tower import ItemCodes
from training.recall.channel import RecallChannel
from training.recall.favourites.channel import Favourites
from training.recall.knowledge_graph.candidate_features import NO_LISTEN
from training.recall.knowledge_graph.channel import KnowledgeGraphWalks
from training.recall.knowledge_graph.config import HEARD_NEAR, PERFORMED_BY
from training.recall.knowledge_graph.graph import KnowledgeGraph
from training.recall.knowledge_graph.path_explanations import PathExplainer
from training.recall.knowledge_graph.played_tracks import UserItemHistory
from training.recall.multi_interest.channel import MultiInterest
from training.recall.multi_interest.model import MultiInterestNetwork
from training.recall.realtime.channel import Realtime
from training.recall.realtime.model import RealtimeNetwork
from training.slate.scene_settings import CANDIDATES_PER_CHANNEL

TRACKS, ARTISTS, PLAYS, NEIGHBOURS = 293_000, 68_000, 2_000, 16
CONCURRENT_REQUESTS = 2
NOW_US = 1_800_000_000_000_000
DEADLINE_MS = Settings.recall_deadline_ms


def run(requests: int) -> list[Result]:
    """Return both results; parallel and sequential requests alternate."""
    chance = np.random.default_rng(0)
    torch.manual_seed(0)
    with threadpool_limits(1):
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            vocabulary = _make_vocabulary()
            channels = _make_channels(vocabulary, chance)
            users = [_make_user(vocabulary, chance) for _ in range(requests)]
            recall = Recall(Metrics(CollectorRegistry()), deadline_s=60, threads=CONCURRENT_REQUESTS)

            def parallel(user: UserBatch) -> float:
                return _elapsed_ms(
                    lambda: recall.run_channels(channels, lambda channel: channel.recall(user, CANDIDATES_PER_CHANNEL))
                )

            def sequential(user: UserBatch) -> float:
                return _elapsed_ms(
                    lambda: [channel.recall(user, CANDIDATES_PER_CHANNEL) for channel in channels.values()]
                )

            times = [(parallel(user), sequential(user)) for user in [users[0], *users]][1:]
            with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
                longest = max(pool.map(parallel, users))
        finally:
            torch.set_num_threads(before)
    ours, others = (statistics.median(column) for column in zip(*times, strict=True))
    return [
        Result.from_values("recall_together", "ms", ours, "one after the other", others, lower_is_better=True),
        result_with_limit("recall_longest", "ms", longest, DEADLINE_MS),
    ]


def _elapsed_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _make_vocabulary() -> Vocabulary:
    number = np.arange(TRACKS)
    tracks = pl.DataFrame(
        {
            "track_id": [f"t{one:06d}" for one in number],
            "artist_id": [f"a{one % ARTISTS:05d}" for one in number],
            "title": [f"Song {one}" for one in number],
            "artist_names": [[f"Artist {one % ARTISTS}"] for one in number],
        }
    )
    return Vocabulary.build(tracks, tracks.select("track_id"))


def _make_channels(vocabulary: Vocabulary, chance: np.random.Generator) -> dict[str, RecallChannel]:
    V = len(vocabulary)
    codes = ItemCodes(torch.arange(V), torch.from_numpy(vocabulary.artist_of_track_V), torch.zeros((V, 0)).long())
    catalogue = np.arange(2, V)
    realtime, interests = Realtime.config("small"), MultiInterest.config("small")
    triples = pl.DataFrame({"head": [f"track:{one}" for one in vocabulary.track_ids_V[2:]]}).with_columns(
        relation=pl.lit(PERFORMED_BY),
        tail=pl.Series([f"artist:{vocabulary.artist_ids_A[one]}" for one in vocabulary.artist_of_track_V[2:]]),
    )
    source = np.repeat(catalogue, NEIGHBOURS)
    near = chance.integers(2, V, len(source))
    graph = KnowledgeGraph.build(triples, vocabulary)
    graph = graph.with_edges(HEARD_NEAR, source, near, chance.random(len(source)).astype(np.float32) + 0.1)
    empty_history = UserItemHistory(
        (), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
    )
    walks = KnowledgeGraphWalks(
        KnowledgeGraphWalks.config("small"),
        graph,
        chance.integers(0, 50, V).astype(np.float32),
        np.full(V, NO_LISTEN),
        np.arange(V) >= 2,
        empty_history,
        PathExplainer(graph, {}),
    )
    return {
        "favourites": Favourites(Favourites.config("small"), vocabulary),
        "realtime": Realtime(realtime, RealtimeNetwork(realtime, codes), catalogue, vocabulary),
        "multi_interest": MultiInterest(interests, MultiInterestNetwork(interests, codes), catalogue, vocabulary),
        "knowledge_graph": walks,
    }


def _make_user(vocabulary: Vocabulary, chance: np.random.Generator) -> UserBatch:
    sequences = {}
    for name, view in SEQUENCE_VIEWS.items():
        length = min(view.length, PLAYS)
        ended = NOW_US - np.sort(chance.integers(1, 90 * 86_400, length))[::-1] * 1_000_000
        tracks = vocabulary.track_ids_V[chance.integers(2, len(vocabulary), length)].tolist()
        known = {
            "event_id": [f"e{one}" for one in range(length)],
            "target_type": ["track"] * length,
            "target_id": tracks,
            "track_id": tracks,
            "behaviour": [view.behaviours[0]] * length,
            "occurred_at": (ended - 1).tolist(),
            "ended_at": ended.tolist(),
            "sequence_number": list(range(length)),
            "played_ratio": [1.0] * length,
            "scene": [""] * length,
        }
        sequences[name] = {attribute: known[attribute] for attribute in view.attribute_names}
    contract = ServiceContract(tuple(SEQUENCE_VIEWS))
    return user_batch_from_online(
        vocabulary, contract, ["u"], np.array([NOW_US]), sequences=[sequences], scenes=["daily"]
    )
