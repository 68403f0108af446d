"""ListenBrainz submissions: which times are accepted, and listens that are submitted again."""

import asyncio
import json

import pytest

from serving.events.event_schema import read_event
from serving.http.protocols import listenbrainz

NOW_S = 1_800_000_000


class Api:
    """Records the reported events."""

    def __init__(self):
        self.events = []

    async def post(self, path, body):
        assert path == "/events"
        self.events += body["events"]
        return {"accepted": len(body["events"]), "duplicate": 0, "rejected": []}


def submit(api, listened_at, user="u"):
    listen = {"listened_at": listened_at, "track_metadata": {"artist_name": "Artist", "track_name": "Song"}}
    body = json.dumps({"listen_type": "single", "payload": [listen]}).encode()
    return asyncio.run(listenbrainz.submit_listens(api.post, user, listenbrainz.read_listens(body), ["t1"]))


@pytest.mark.parametrize("listened_at", [-1, 2**40, 10**400, float("nan"), True, "now", None])
def test_impossible_times_are_rejected(listened_at):
    with pytest.raises(listenbrainz.InvalidListens, match="payload 0: listened_at is not a number of seconds"):
        submit(Api(), listened_at)


def test_a_listen_that_is_submitted_again_is_the_same_event(monkeypatch):
    api = Api()
    submissions = [(120, NOW_S + 0.5, "u"), (121, NOW_S, "u"), (120, NOW_S + 1, "u"), (120, NOW_S, "v")]
    for after_s, listened_at, user in submissions:
        monkeypatch.setattr(listenbrainz.time, "time", lambda after_s=after_s: float(NOW_S + after_s))
        submit(api, listened_at, user)
    ids = [read_event(event, (NOW_S + 200) * 1_000_000)["event_id"] for event in api.events]
    assert [event["played_ms"] for event in api.events[:2]] == [120_000, 121_000]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("info", "played_ms"),
    [
        ({"duration_ms": 90_000}, 90_000),
        ({"duration_ms": 90}, listenbrainz.FULL_LISTEN_MS),  # seconds, as of supysonic
        ({"duration": 90}, 90_000),
        ({"duration_played": 3, "duration": 90}, 3_000),
        ({"duration_ms": True, "duration": "90"}, listenbrainz.FULL_LISTEN_MS),
        (None, listenbrainz.FULL_LISTEN_MS),
    ],
)
def test_played_time(monkeypatch, info, played_ms):
    monkeypatch.setattr(listenbrainz.time, "time", lambda: NOW_S + 1_000.0)
    api, names = Api(), {"artist_name": "Artist", "track_name": "Song", "additional_info": info}
    asyncio.run(listenbrainz.submit_listens(api.post, "u", [{"listened_at": NOW_S, "track_metadata": names}], ["t1"]))
    assert api.events[0]["played_ms"] == played_ms
