"""Requests that are rejected, with a remedy, and what lists that are empty mean."""

import pytest

from serving.errors import RequestRejected
from serving.pipeline.request import read_path, read_request, read_similar
from tests.support.serving.pipeline_harness import NOW


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(({"discovery": share}, r"discovery .* is not between 0") for share in (-0.1, 1.1, float("nan"))),
        ({"scene": "shower"}, "'shower' is not one of daily, private_fm"),
        ({"scene": "mlog", "discovery": 0.5}, "scene mlog has mlogs, for which discovery is not defined"),
        ({"limit": 0}, "limit 0 is not between 1 and 100"),
        ({"scene": "private_fm", "limit": 31}, "limit 31 is not between 1 and 30"),
        ({"user_id": " "}, "user_id is blank or not printable; give 1 to 256 bytes"),
        ({"user_id": " u"}, "user_id begins or ends with white space"),
        ({"user_id": "u" * 257}, "user_id has 257 bytes; give at most 256"),
        ({"user_id": "\ud800"}, "user_id is blank or not printable"),
        ({"user_id": None}, "user_id is missing; give it, or seeds or a title"),
        ({"user_id": "", "title": "x"}, "user_id is blank or not printable; give"),
        ({"seeds": ["t1", " "]}, "seeds: track id ' ' is blank or not printable; give"),
        ({"exclude": ["t" * 257]}, "exclude: track id"),
        ({"seeds": ["t1"], "scene": "mlog"}, "scene 'mlog' is not defined for a playlist"),
        ({"seeds": ["t1"], "discovery": 0.5}, "discovery is not defined for a playlist"),
        ({"title": "a\nb"}, "title has an unprintable character; remove it"),
        ({"seeds": ["t1"], "limit": 101}, "limit 101"),
        ({"scene": "playlists", "exclude": ["t1"]}, "exclude names tracks; omit exclude"),
    ],
)
def test_invalid_requests_for_recommendations(arguments, message):
    with pytest.raises(RequestRejected, match=message):
        read_request(now_us=NOW, **{"user_id": "u", "scene": "daily", "limit": None} | arguments)


@pytest.mark.parametrize(
    ("read", "arguments", "message"),
    [
        (read_similar, (" ", None, None), "track_id"),
        (read_similar, ("t" * 257, None, None), "track_id"),
        (read_similar, ("t", None, ""), "user_id"),
        (read_similar, ("t", 101, None), "limit 101"),
        (read_path, ("", "t1", None, None), "from is blank or not printable; give"),
        (read_path, ("t1", "\n", None, None), "to is blank or not printable; give"),
        (read_path, ("t1", "t1", None, None), "from and to are both 't1'"),
        (read_path, ("t1", "t2", None, ""), "user_id is blank or not printable; give"),
    ],
)
def test_invalid_requests_about_tracks(read, arguments, message):
    with pytest.raises(RequestRejected, match=message):
        read(*arguments, NOW)


def test_empty_lists_are_a_request_for_recommendations():
    request = read_request("u", "private_fm", 3, NOW, seeds=[], title="  ", exclude=[])
    assert (request.scene.name, request.is_about_tracks) == ("private_fm", False)
