"""User states: kept for the next requests, used during failures of the online store, bounded."""

from dataclasses import replace

from serving.pipeline.pipeline import hash_features
from serving.pipeline.user_state import STATE_AGE_US, StateCache
from tests.support.serving.pipeline_harness import DAY, NOW
from tests.support.serving.small_release import ListChannel, excluded, history, release, tracks

OF = release(tracks(8), [ListChannel("popularity", range(2, 10))])


def test_state_is_computed_once_until_anything_that_it_depends_on_changes(bench):
    bench.store.users["u"] = history("t3", "t5")
    noon = NOW // DAY * DAY + DAY // 2
    first = bench.load(OF, at_us=noon)
    assert bench.load(OF, at_us=noon + STATE_AGE_US, scene="private_fm") is first
    midnight = noon + DAY // 2
    late = bench.load(OF, at_us=midnight - 1)
    for change in (
        bench.load(OF, at_us=midnight),  # another day
        bench.load(OF, at_us=midnight + STATE_AGE_US + 1),
        bench.load(OF, at_us=noon),  # before the state
        bench.load(replace(OF), at_us=noon),
    ):
        assert change is not first and change is not late
    again = bench.load(OF, at_us=noon)
    bench.store.report(
        [{"user_id": "u", "action": "block", "target_type": "track", "target_id": "t1", "ended_at": noon}]
    )
    blocked = bench.load(OF, at_us=noon)
    assert blocked is not again and blocked.exclusions.track_ids == {"t1"}
    bench.store.users["u"] = history("t3", "t5", "t6")
    assert bench.load(OF, at_us=noon).users.history_items.items.tolist() == [5, 7, 8]
    assert bench.load(OF, "unknown") is not bench.load(OF, "unknown")


def test_cached_state_is_used_when_the_store_fails(bench):
    bench.store.users["u"] = history("t3", "t5") | excluded(("track", "t3"))
    read = bench.load(OF)
    bench.store.is_away = True
    last = bench.load(OF, scene="private_fm", at_us=NOW + DAY)
    assert (read.state_from, last.state_from, last.is_known) == ("store", "memory", True)
    assert last.exclusions == read.exclusions
    assert (last.users.user_ids, last.users.request_at_B.tolist()) == (["u"], [NOW + DAY])
    assert last.in_scene("private_fm").scene_B == ["private_fm"]
    assert hash_features(last.users) == hash_features(read.users)
    for of, user_id in ((replace(OF, release_id="r2"), "u"), (OF, "v")):
        unknown_user = bench.load(of, user_id)
        assert (unknown_user.state_from, unknown_user.is_known) == ("nothing", False)


def test_cache_is_bounded_and_evicts_the_oldest(bench):
    for name in "abc":
        bench.store.users[name] = history("t1", "t2")
    some, whole = {name: bench.load(OF, name) for name in "abc"}, StateCache()
    whole.put(OF, 1, some["a"])
    last = StateCache(2 * whole._bytes)
    for name in "abaca":
        last.put(OF, 1, some[name])
    assert [last.get(OF, name, NOW) is not None for name in "abc"] == [True, False, True]
