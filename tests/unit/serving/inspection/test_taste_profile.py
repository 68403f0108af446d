"""The taste profile of a user: interests by share and name, and what is left out."""

from types import SimpleNamespace

from event_store.private_sessions import PrivateSession
from recommender.recall.multi_interest.channel import Interest
from serving.inspection.taste_profile import describe_taste
from tests.support.serving.pipeline_harness import NOW
from tests.support.serving.small_release import history, marked, release, tracks, view

TABLE = tracks(
    8,
    album_id=["a", "a", *[None] * 6],
    album_title=["First", "First", *[None] * 6],
    languages=[*[["Korean"]] * 4, *[["Western"]] * 4],
)


def find_interests(release, users, items_of):
    """An interest for each language in the history."""
    items = users.history_items.items
    parts = {"Korean": items[items < 6], "Western": items[items >= 6]}
    found = [Interest(name, len(one) / len(items), one) for name, one in parts.items() if len(one)]
    return found * 2, {}  # equal names are one interest


def taste(bench, plays, *marks, session=None):
    controls = ({"ended_at": 10 + number} | mark for number, mark in enumerate(marked(*marks)))
    bench.store.users["u"], served = history(*plays) | view("exclusions", *controls), release(TABLE, [])
    recall = SimpleNamespace(find_user_interests=find_interests)
    return describe_taste(bench.load(served), bench.store.read("u").views, served, recall, session)


def ids(one):
    return [track.track_id for track in one.tracks]


def test_interests_have_the_users_names_and_the_most_played_tracks(bench):
    found = taste(bench, ["t0", "t1", "t1", "t5"], ("rename", "interest", "Korean=Seoul nights"))
    assert [(one.interest_id, one.name, one.is_paused, ids(one)) for one in found.interests] == [
        ("Korean", "Seoul nights", False, ["t1", "t0"]),
        ("Western", "", False, ["t5"]),
    ]
    assert found.left_out == [] and found.private_session is None


def test_a_paused_interest_is_last_and_has_no_share(bench):
    session = PrivateSession(NOW, NOW + 1)
    found = taste(bench, ["t0", "t1", "t1", "t5"], ("exclude", "interest", "Korean"), session=session)
    assert [(one.interest_id, one.is_paused, one.share > 0, ids(one)) for one in found.interests] == [
        ("Western", False, True, ["t5"]),
        ("Korean", True, False, ["t1", "t0"]),
    ]
    assert found.private_session.model_dump() == vars(session)


def test_what_is_left_out_has_a_name_and_a_time(bench):
    found = taste(
        bench,
        ["t0", "t5"],
        ("exclude", "album", "a"),
        ("reset", "interest", "Western"),
        ("exclude", "playlist", "gone"),
        ("exclude", "playlist", "back"),
        ("unexclude", "playlist", "back"),
    )
    assert [
        (one.action, one.target_type, one.target_id, one.at, one.name, one.track_count) for one in found.left_out
    ] == [
        ("exclude", "playlist", "gone", 12, "", 0),
        ("reset", "interest", "Western", 11, "", 4),
        ("exclude", "album", "a", 10, "First", 2),
    ]
    assert found.interests == []
