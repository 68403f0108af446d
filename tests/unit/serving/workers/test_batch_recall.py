"""Recall and ranking of several requests at once: what each request gets alone, also if one of them fails or is late."""

import time

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from serving.observability.metrics import Metrics
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import Recall
from serving.workers.model_calls import recall_together, score_together
from tests.support.serving.small_release import ListChannel, release, tracks
from tests.support.serving.worker_requests import PlayedChannel, load_requests

NAMES = ("none", "one", "many", "bad")
DEADLINE_S = 0.5


@pytest.fixture
def requests(tmp_path):
    return load_requests(tmp_path, dict(zip(NAMES, (0, 1, 7, 3), strict=True)))


class PastDeadline:
    """What a slow channel waits for."""

    def wait(self):
        time.sleep(1.2 * DEADLINE_S)


def made(*channels):
    return release(tracks(8), channels, ranker=PlayCountRanker())


class PlayCountRanker:
    """A score of item and user: the item's code, and the number of the user's plays."""

    def score(self, users, items_BC):
        plays_B = users.views["played_history"].length_B
        return {"not_skipped": (plays_B[:, None] + items_BC / 10).astype(np.float32)}


def assert_equal(found, expected):
    assert list(found.candidates) == list(expected.candidates) and found.left_out == expected.left_out
    for name, candidates in expected.candidates.items():
        np.testing.assert_array_equal(found.candidates[name].items_BK, candidates.items_BK)
        np.testing.assert_array_equal(found.candidates[name].scores_BK, candidates.scores_BK)


@pytest.mark.parametrize("only", [None, ["played"]])
def test_each_request_gets_its_own_candidates_and_metrics(requests, only):
    of = made(ListChannel("popularity", [2, 3]), PlayedChannel("played"), ListChannel("broken", [], is_failing=True))
    together = recall_together(of, requests, 5, only, 30.0)
    assert len(together) == len(requests)
    for users, (result, updates) in zip(requests, together, strict=True):
        registries = CollectorRegistry(), CollectorRegistry()
        alone, repeated = (Metrics(registry) for registry in registries)
        assert_equal(result, Recall(alone, 30.0).recall_for_users(of, users, 5, only))
        for update in updates:
            update.apply(repeated)
        for name, labels in (
            ("segue_candidates_total", {"channel": "played"}),
            ("segue_skipped_total", {"part": "broken"}),
            ("segue_channel_seconds_count", {"channel": "played"}),
            ("segue_channel_seconds_count", {"channel": "broken"}),
        ):
            assert registries[0].get_sample_value(name, labels) == registries[1].get_sample_value(name, labels)


def test_a_channel_is_called_once_for_all_requests(requests):
    channel = ListChannel("popularity", [2])
    recall_together(made(channel), requests, 5, None, 30.0)
    assert channel.calls == 1


def test_a_channel_that_fails_for_one_request_is_left_out_of_that_one_only(requests):
    of = made(PlayedChannel("played", failing_user="bad"), ListChannel("popularity", [2]))
    for name, (result, _) in zip(NAMES, recall_together(of, requests, 5, None, 30.0), strict=True):
        assert result.left_out == ({"played": "failed"} if name == "bad" else {})
        assert list(result.candidates) == (["popularity"] if name == "bad" else ["played", "popularity"])


def test_a_channel_without_a_row_for_each_request_is_called_for_each(requests):
    class OneRow(PlayedChannel):
        def recall(self, users, k):
            return super().recall(users, k).take(np.array([0]))

    of = made(OneRow("played"))
    for users, (result, _) in zip(requests, recall_together(of, requests, 5, None, 30.0), strict=True):
        assert_equal(result, Recall(Metrics(CollectorRegistry()), 30.0).recall_for_users(of, users, 5))


def test_channels_after_the_deadline_are_left_out_of_every_request(requests):
    after = ListChannel("popularity", [2])
    of = made(ListChannel("slow", [3], until=PastDeadline()), after)
    for result, updates in recall_together(of, requests, 5, None, DEADLINE_S):
        assert list(result.candidates) == ["slow"] and result.left_out == {"popularity": "late"}
        assert [update.labels for update in updates if update.metric == "cut_off"] == [("popularity", "late")]
    assert after.calls == 0


def test_candidates_of_different_numbers_are_scored_together(requests):
    items = [np.array([2]), np.array([3, 4, 5]), np.array([6, 7]), np.array([5, 2, 3, 9])]
    of = made()
    for users, items_C, found in zip(requests, items, score_together(of, requests, items), strict=True):
        expected = Ranking().score(of, users, items_C)
        assert found["not_skipped"].shape == (1, len(items_C))
        np.testing.assert_array_equal(found["not_skipped"], expected["not_skipped"])
