"""ListenBrainz submissions: which times are accepted, and listens that are submitted again."""

import asyncio
import json
from unittest import mock

import pytest

from serving.events.event_schema import read_event
from serving.http.protocols import listenbrainz

NOW_S = 1_800_000_000


def reported(listened_at, user="u", **names):
    """The event that is reported for a listen."""
    post = mock.AsyncMock(return_value={"accepted": 1, "duplicate": 0, "rejected": []})
    listen = {"listened_at": listened_at, "track_metadata": {"artist_name": "Artist", "track_name": "Song"} | names}
    body = json.dumps({"listen_type": "single", "payload": [listen]}).encode()
    asyncio.run(listenbrainz.submit_listens(post, user, listenbrainz.read_listens(body), ["t1"]))
    (event,) = post.call_args.args[1]["events"]
    return event


@pytest.mark.parametrize("listened_at", [-1, 2**40, 10**400, float("nan"), True, "now", None])
def test_impossible_times_are_rejected(listened_at):
    with pytest.raises(listenbrainz.InvalidListens, match="payload 0: listened_at is not a number of seconds"):
        reported(listened_at)


def test_a_listen_that_is_submitted_again_is_the_same_event(monkeypatch):
    events = []
    for after_s, listened_at, user in (
        (120, NOW_S + 0.5, "u"),
        (121, NOW_S, "u"),
        (120, NOW_S + 1, "u"),
        (120, NOW_S, "v"),
    ):
        monkeypatch.setattr(listenbrainz.time, "time", lambda after_s=after_s: float(NOW_S + after_s))
        events.append(reported(listened_at, user))
    ids = [read_event(event, (NOW_S + 200) * 1_000_000)["event_id"] for event in events]
    assert [event["played_ms"] for event in events[:2]] == [120_000, 121_000]
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
    assert reported(NOW_S, additional_info=info)["played_ms"] == played_ms
