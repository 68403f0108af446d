"""The visible list: share of new tracks, cap per artist, onboarding picks, and what could not be met."""

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from recommender.catalog.vocabulary import Vocabulary
from recommender.slate.fusion import Fusion
from recommender.slate.ranker_blend import Blend
from recommender.slate.scene_settings import MAX_NEW_TRACKS_PER_ARTIST, MAX_TRACKS_PER_ARTIST
from tests.support.serving.pipeline_harness import NOW
from tests.support.serving.small_release import ListChannel, history, release, tracks, view

COUNT, KNOWN = 200, 100
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
MINUTE = 60_000_000


PREFERS_PLAYED = SimpleNamespace(
    score=lambda users, items_BC: {"not_skipped": 1 - items_BC.astype(np.float32) / (COUNT + 2)}
)
"""A ranker that prefers tracks with a small item number: every played track to every other one."""


def numbered_release(artist_ids, **parts):
    """A track of each artist, in this order; the popularity channel finds them in order of their number."""
    count = len(artist_ids)
    table = tracks(count, track_id=played(count), artist_ids=[[artist] for artist in artist_ids])
    channels = parts.pop("channels", [ListChannel("popularity", range(2, count + 2))])
    return release(table, channels, vocabulary=Vocabulary.build(table, table.select("track_id")), **parts)


def wide_release(**parts):
    """Tracks of one artist each."""
    return numbered_release([f"a{n}" for n in range(COUNT)], **parts)


def played(count=KNOWN):
    return [f"t{n:03}" for n in range(count)]


def new_share(shown, known):
    return sum(track not in known for track in shown) / len(shown)


@pytest.mark.parametrize("fusion_share", [0.0, 0.2])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_share_of_new_tracks_is_as_requested_and_monotonic(bench, fusion_share, weight):
    known = played()
    bench.store.users["u"] = history(*known)
    of = wide_release(
        ranker=PREFERS_PLAYED, blend=Blend(weight, discovery_weight=weight), fusion=Fusion(shares={"": fusion_share})
    )
    shown = {share: bench.answer(of, limit=30, discovery=share) for share in SHARES}
    found = [new_share([item.track_id for item in answer.items], known) for answer in shown.values()]
    assert found == pytest.approx(SHARES, abs=0.05) and found == sorted(found)
    assert not any(answer.trace.unmet for answer in shown.values())
    # Each kind keeps its order: a smaller share has the best of the discoveries of a larger one.
    new = [[item.track_id for item in answer.items if item.track_id not in known] for answer in shown.values()]
    for fewer, more in pairwise(new):
        assert fewer == more[: len(fewer)]


def test_default_share_is_that_of_the_scene_in_the_release(bench):
    known = played()
    bench.store.users["u"] = history(*known)
    of = wide_release(blend=Blend(0.0, discovery_shares={"": 0.5, "private_fm": 1.0}), fusion=Fusion(shares={"": 0.0}))
    assert new_share(bench.ask(of, limit=30), known) == 0.5
    assert new_share(bench.ask(of, limit=30, scene="private_fm"), known) == 1.0
    older = wide_release(blend=Blend(0.0), fusion=Fusion(shares={"": 0.4}))
    assert new_share(bench.ask(older, limit=30, user_id="u", discovery=None, scene="private_fm"), known) == 0.4


@pytest.mark.parametrize(("known", "discovery", "new", "lacking"), [(2, 0.25, 8, "known"), (COUNT, 1.0, 0, "new")])
def test_answer_states_a_share_that_the_candidates_do_not_allow(bench, known, discovery, new, lacking):
    bench.store.users["u"] = history(*played(known))
    answer = bench.answer(wide_release(), limit=10, discovery=discovery)
    stated = f"{new} of 10 tracks are new to the user; there are not enough {lacking} tracks"
    assert answer.trace.unmet["discovery"] == stated


def test_stream_continues_the_slots_of_its_session(bench):
    known, of = played(), wide_release(blend=Blend(0.0, discovery_shares={"": 0.25}))
    heard, is_new = [], []
    for _ in range(4):
        times = [{"occurred_at": NOW - MINUTE + n, "ended_at": NOW - MINUTE + n} for n in range(len(heard))]
        plays = ({"track_id": track} | at for track, at in zip(heard, times, strict=True))
        bench.store.users["u"] = history(*known) | view("recent_events", *plays, scene="private_fm")
        shown = bench.ask(of, limit=3, scene="private_fm")
        is_new += [track not in known for track in shown]
        heard += shown
    assert is_new == [False, False, False, True] * 3


def liked(*track_ids):
    at = {"occurred_at": NOW - MINUTE, "ended_at": NOW - MINUTE}
    return view("recent_events", *({"track_id": track} for track in track_ids), behavior="like", **at)


@pytest.mark.parametrize("scene", ["daily", "private_fm"])
def test_new_user_does_not_get_the_onboarding_picks_back(bench, scene):
    picks, of = ["t000", "t001", "t002"], wide_release()
    bench.store.users["u"] = liked(*picks)
    shown = bench.ask(of, limit=30, scene=scene)
    assert len(shown) == 30 and not set(picks) & set(shown)
    # A pick that was played is a track like any other, and so are all likes of a user who has played three tracks.
    bench.store.users["v"] = liked(*picks) | history("t000")
    shown = bench.ask(of, limit=30, scene=scene, user_id="v")
    assert set(picks) & set(shown) == {"t000"}
    bench.store.users["w"] = liked(*picks) | history("t010", "t011", "t012")
    shown = bench.ask(of, limit=30, scene=scene, user_id="w")
    assert set(picks) <= set(shown) and not set(picks) & set(shown[1:5])
    # In a session, picks are spread over the stream, too, although each response has three tracks.
    known = [*picks, "t010", "t011", "t012"]
    assert sum(track in known for track in bench.ask(of, limit=3, scene="private_fm", user_id="w")) == 1


def test_new_tracks_of_the_list_still_count_as_new_after_they_were_played(bench):
    of = numbered_release([f"a{n // 20 if n < 40 else n}" for n in range(60)])
    heard = played(8)
    bench.store.users["u"] = history(*heard, "t050")
    morning = bench.answer(of, limit=20, discovery=0.5)
    new = [
        item.track_id for item in morning.items if item.details["artist_ids"][0] == "a0" and item.track_id not in heard
    ]
    assert len(new) == MAX_NEW_TRACKS_PER_ARTIST
    bench.store.users["u"] = history(*heard, "t050", *new)
    noon = bench.answer(of, limit=20, discovery=0.5)
    assert [item.track_id for item in noon.items] == [item.track_id for item in morning.items]
    assert noon.trace.unmet == morning.trace.unmet and "max_per_artist" not in noon.trace.unmet
    extended = bench.answer(of, limit=30, discovery=0.5)
    assert (
        Counter(item.details["artist_ids"][0] for item in extended.items)["a0"]
        == MAX_TRACKS_PER_ARTIST + MAX_NEW_TRACKS_PER_ARTIST
    )
