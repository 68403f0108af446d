"""Cached user states during failures of the online store, and the bound of the cache."""

import numpy as np

from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.user_state_cache import UserStateCache
from tests.support.serving.pipeline_harness import DAY, NOW
from tests.support.serving.small_release import ListChannel, excluded, history, release, tracks
from training.data.user_batch import UserBatch

OF = release(tracks(8), [ListChannel("popularity", range(2, 10))])


def users(bench, user_id, *track_ids) -> UserBatch:
    bench.store.users[user_id] = history(*track_ids)
    return Hydrator(bench.store, bench.metrics).load_user_state(read_request(user_id, "daily", None, NOW), OF).users


def test_cached_state_is_used_when_the_store_fails(bench):
    bench.store.users["u"] = history("t3", "t5") | excluded(("track", "t3"))
    hydrate = Hydrator(bench.store, bench.metrics)
    read = hydrate.load_user_state(read_request("u", "daily", None, NOW), OF)
    bench.store.is_away = True
    request = read_request("u", "private_fm", None, NOW + DAY)
    last = hydrate.load_user_state(request, OF)
    assert (read.state_from, last.state_from, last.is_known) == ("store", "memory", True)
    assert last.exclusions == read.exclusions
    assert (last.users.user_ids, last.users.scene_B, last.users.request_at_B.tolist()) == (
        ["u"],
        ["private_fm"],
        [NOW + DAY],
    )
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
    some, whole = {name: users(bench, name, "t1", "t2") for name in "abc"}, UserStateCache()
    whole.put("r1", some["a"])
    last = UserStateCache(2 * whole._bytes)
    for name in "abaca":
        last.put("r1", some[name])
    assert [last.get("r1", name, NOW, "daily") is not None for name in "abc"] == [True, False, True]
