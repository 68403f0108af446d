"""ListenBrainz submissions: which times are accepted, and listens that are submitted again."""

import asyncio
import json

import pytest

from serving.events.event_schema import read_event
from serving.http.asgi import problem
from serving.http.protocols import listenbrainz
from serving.http.protocols.internal_call import ApiError

NOW_S = 1_800_000_000


class Api:
    """Has one track, and records the reported events; with `search_problem` a search fails with it."""

    def __init__(self, search_problem=None):
        self.events, self.search_problem = [], search_problem

    async def post(self, path, body):
        if path == "/search" and self.search_problem:
            raise ApiError(503, self.search_problem["detail"], self.search_problem)
        if path == "/search":
            return {"items": [{"track_id": "t1", "title": "Song", "artists": ["Artist"]}]}
        self.events += body["events"]
        return {"accepted": len(body["events"]), "duplicate": 0, "rejected": []}


def submit(api, listened_at, user="u"):
    listen = {"listened_at": listened_at, "track_metadata": {"artist_name": "Artist", "track_name": "Song"}}
    body = json.dumps({"listen_type": "single", "payload": [listen]}).encode()
    return asyncio.run(listenbrainz.submit_listens(api, user, body))


@pytest.mark.parametrize("listened_at", [-1, 2**40, 10**400, 1.5, True, "now", None])
def test_impossible_times_are_rejected(listened_at):
    with pytest.raises(listenbrainz.InvalidListens, match="payload 0: listened_at is not an integer of seconds"):
        submit(Api(), listened_at)


def test_a_listen_that_is_submitted_again_is_the_same_event(monkeypatch):
    api = Api()
    submissions = [(120, NOW_S, "u"), (121, NOW_S, "u"), (120, NOW_S + 1, "u"), (120, NOW_S, "v")]
    for after_s, listened_at, user in submissions:
        monkeypatch.setattr(listenbrainz.time, "time", lambda after_s=after_s: float(NOW_S + after_s))
        submit(api, listened_at, user)
    ids = [read_event(event, (NOW_S + 200) * 1_000_000)["event_id"] for event in api.events]
    assert [event["played_ms"] for event in api.events[:2]] == [120_000, 121_000]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_listens_are_unmatched_on_a_release_without_search():
    api = Api(problem(503, "release r1 has no search", type="urn:segue:problem:no-search"))
    assert submit(api, NOW_S) == {"status": "ok", "accepted": 0, "duplicate": 0, "unmatched": 1}


@pytest.mark.parametrize("detail", ["66 requests are in progress or queued", "no release is in service yet"])
def test_listens_are_not_acknowledged_while_tracks_cannot_be_searched(detail):
    api = Api(problem(503, detail))
    with pytest.raises(ApiError, match=detail):
        submit(api, NOW_S)
    assert api.events == []
