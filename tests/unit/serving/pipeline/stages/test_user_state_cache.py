"""User states: kept for the next requests, used during failures of the online store, bounded."""

from dataclasses import replace

import numpy as np

from serving.pipeline.request import read_request
from serving.pipeline.user_state import STATE_AGE_US, StateCache
from tests.support.serving.pipeline_harness import DAY, NOW
from tests.support.serving.small_release import ListChannel, excluded, history, release, tracks

OF = release(tracks(8), [ListChannel("popularity", range(2, 10))])


def load(bench, user_id="u", at_us=NOW, of=OF, scene="daily"):
    return bench.hydrate.load_user_state(read_request(user_id, scene, None, at_us), of)


def test_state_is_computed_once_until_anything_that_it_depends_on_changes(bench):
    bench.store.users["u"] = history("t3", "t5")
    noon = NOW // DAY * DAY + DAY // 2
    first = load(bench, at_us=noon)
    assert load(bench, at_us=noon + STATE_AGE_US, scene="private_fm") is first
    midnight = noon + DAY // 2
    late = load(bench, at_us=midnight - 1)
    for change in (
        load(bench, at_us=midnight),  # another day
        load(bench, at_us=midnight + STATE_AGE_US + 1),
        load(bench, at_us=noon),  # before the state
        load(bench, at_us=noon, of=replace(OF)),
    ):
        assert change is not first and change is not late
    again = load(bench, at_us=noon)
    bench.store.report(
        [{"user_id": "u", "action": "block", "target_type": "track", "target_id": "t1", "ended_at": noon}]
    )
    blocked = load(bench, at_us=noon)
    assert blocked is not again and blocked.exclusions.track_ids == {"t1"}
    bench.store.users["u"] = history("t3", "t5", "t6")
    assert load(bench, at_us=noon).users.history_items.items.tolist() == [5, 7, 8]
    assert load(bench, "unknown") is not load(bench, "unknown")


def test_cached_state_is_used_when_the_store_fails(bench):
    bench.store.users["u"] = history("t3", "t5") | excluded(("track", "t3"))
    hydrate = bench.hydrate
    read = hydrate.load_user_state(read_request("u", "daily", None, NOW), OF)
    bench.store.is_away = True
    request = read_request("u", "private_fm", None, NOW + DAY)
    last = hydrate.load_user_state(request, OF)
    assert (read.state_from, last.state_from, last.is_known) == ("store", "memory", True)
    assert last.exclusions == read.exclusions
    assert (last.users.user_ids, last.users.request_at_B.tolist()) == (["u"], [NOW + DAY])
    assert last.in_scene("private_fm").scene_B == ["private_fm"]
    assert last.users.profile == read.users.profile
    for name, view in read.users.views.items():
        assert last.users.views[name].length_B.tolist() == view.length_B.tolist()
        for column, values in view.columns.items():
            again = last.users.views[name].columns[column]
            assert again.dtype == values.dtype and np.array_equal(again, values)
    other = release(tracks(8), [ListChannel("popularity", [2])], release_id="r2")
    for asking, of in ((request, other), (read_request("v", "daily", None, NOW), OF)):
        unknown_user = hydrate.load_user_state(asking, of)
        assert (unknown_user.state_from, unknown_user.is_known) == ("nothing", False)


def test_cache_is_bounded_and_evicts_the_oldest(bench):
    for name in "abc":
        bench.store.users[name] = history("t1", "t2")
    some, whole = {name: load(bench, name) for name in "abc"}, StateCache()
    whole.put(OF, 1, some["a"])
    last = StateCache(2 * whole._bytes)
    for name in "abaca":
        last.put(OF, 1, some[name])
    assert [last.get(OF, name, NOW) is not None for name in "abc"] == [True, False, True]
