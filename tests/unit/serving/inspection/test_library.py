"""The library of a user: actions in force, the newest first, with names."""

from types import SimpleNamespace

from recommender.recall.reason import Reason
from recommender.user.exclusions import Exclusions
from serving.inspection.explain import explain
from serving.inspection.library import describe_library
from serving.messages import render_reason
from serving.pipeline.stages.recall import RecallResult
from serving.pipeline.user_state import UserState
from tests.support.serving.small_release import ListChannel, marked, release, tracks, view

OF = release(tracks(8), [ListChannel("popularity", range(2, 10))])


def test_the_newest_of_an_action_and_its_reversal_counts():
    liked = marked(
        ("like", "track", "t1"),
        ("like", "track", "t2"),
        ("collect", "track", "t1"),
        ("unlike", "track", "t1"),
        ("like", "track", "t3"),
        ("like", "track", "t1"),
        ("unlike", "track", "t3"),
    )
    hidden = marked(
        ("block", "artist", "a1"), ("dislike", "track", "t4"), ("block", "artist", "gone"), ("undislike", "track", "t4")
    )
    found = describe_library("u", view("library", *liked) | view("exclusions", *hidden), OF)
    assert [(entry.target_id, entry.at, entry.name) for entry in found.liked] == [
        ("t1", 5, "Song 1"),
        ("t2", 1, "Song 2"),
    ]
    assert [entry.track.track_id for entry in found.collected] == ["t1"]
    assert found.disliked == []
    assert [(entry.target_id, entry.name, entry.track) for entry in found.blocked] == [
        ("gone", "", None),
        ("a1", "Artist 1", None),
    ]


def test_a_way_through_the_graph_names_each_node():
    steps = (Reason("shared_artist", {"x": "A", "y": "B", "z": "Z"}), Reason("performed_by", {"x": "C", "y": "B"}))
    reason = Reason("listens_to_path", {"start": "A", "steps": steps})
    recalled = RecallResult({"knowledge_graph": ListChannel("knowledge_graph", [5, 4]).recall([None], 2)}, {})
    recall = SimpleNamespace(recall_for_users=lambda *_: recalled, reasons=lambda *_: {"knowledge_graph": [reason]})
    found = explain(4, UserState(None, Exclusions(), True), "daily", OF, recall, "en")
    assert [(one.name, one.rank) for one in found.channels] == [("knowledge_graph", 2)]
    assert [(step.relation, step.node) for step in found.graph] == [
        ("", "A"),
        (render_reason(steps[0], "en"), "B"),
        (render_reason(steps[1], "en"), "C"),
    ]
