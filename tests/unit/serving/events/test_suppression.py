"""A new suppression list is acknowledged when no operation uses the previous version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest

from serving.events.suppression import SuppressionListFollower
from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from storage import suppression_list
from storage.suppression_list import FORMER_FILE, SuppressionList, SuppressionListError, read_suppression_list
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import ListChannel, excluded, history, release, tracks
from tests.support.waiting import wait_until


class Place:
    """A suppression list and its followers."""

    def __init__(self, home: Path) -> None:
        self.file = home / "suppression_list.json"
        self.dropped: list[SuppressionList] = []

    def forget(self, *users: str) -> None:
        suppression_list.read_suppression_list(self.file).with_users(users).write(self.file)

    def follow(self) -> SuppressionListFollower:
        return SuppressionListFollower(self.file, self.dropped.append)

    def is_acknowledged(self, following: SuppressionListFollower) -> bool:
        return following.digest == suppression_list.content_digest(suppression_list.read_content(self.file))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_new_version_waits_for_snapshots_of_the_previous_one(place: Place) -> None:
    following = place.follow()
    assert place.is_acknowledged(following)
    with ExitStack() as older, ThreadPoolExecutor(1) as thread:
        seen = older.enter_context(following.snapshot())
        place.forget("u")
        reloading = thread.submit(following.reload)
        wait_until(lambda: following._version.users is not seen, "the new version")
        with following.snapshot() as users:
            assert "u" in users
        assert "u" not in seen and not place.dropped and not place.is_acknowledged(following)
        older.close()
        reloading.result()
    assert place.is_acknowledged(following)
    assert ["u" in users for users in place.dropped] == [True]


def test_waiting_for_snapshots_ends_with_the_service(place: Place) -> None:
    following = place.follow()
    with following.snapshot(), ThreadPoolExecutor(1) as thread:
        place.forget("u")
        reloading = thread.submit(following.reload)
        following.close()
        reloading.result()
    assert not place.dropped and not place.is_acknowledged(following)


def test_a_list_with_the_former_name_is_enforced_until_a_newer_one_is_written(tmp_path: Path) -> None:
    file = tmp_path / "suppression_list.json"
    SuppressionList().with_users(["ann"]).write(tmp_path / FORMER_FILE)
    users = read_suppression_list(file)
    assert "ann" in users
    users.with_users(["bob"]).write(file)
    assert read_suppression_list(file).intersection(["ann", "bob", "cid"]) == {"ann", "bob"}


def test_a_damaged_list_is_rejected_at_the_start(place: Place) -> None:
    for damaged in ("", "{", '{"salt": "xyz", "users": []}'):
        place.file.write_text(damaged)
        with pytest.raises(SuppressionListError, match=r"suppression_list.json is damaged.*backup"):
            place.follow()


def test_damaged_update_keeps_the_previous_version(place: Place) -> None:
    place.forget("u")
    following = place.follow()
    place.file.write_text("{")
    with pytest.raises(SuppressionListError):
        following.reload()
    with following.snapshot() as users:
        assert "u" in users


def test_no_acknowledgement_until_caches_are_dropped(place: Place) -> None:
    following = SuppressionListFollower(place.file, Mock(side_effect=[RuntimeError("not now"), None]))
    place.forget("u")
    with pytest.raises(RuntimeError):
        following.reload()
    assert not place.is_acknowledged(following)
    following.reload()
    assert place.is_acknowledged(following)


def test_cached_user_state_is_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    known: Hydrator = bench.hydrate
    served = release(tracks(8), [ListChannel("popularity", range(2, 10))])
    for user in ("u", "v"):
        bench.store.users[user] = history("t0") | excluded(("track", "t1"))
        bench.ask(served, user_id=user)
    bench.store.is_away = True
    known.erase_users({"u"})
    for user, state in (("u", "nothing"), ("v", "memory")):
        found = known.load_user_state(read_request(user, "daily", 3, NOW), served)
        assert found.state_from == state
        assert bool(found.exclusions) == (user == "v")
