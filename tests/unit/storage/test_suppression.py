"""A new suppression list is acknowledged when nothing keeps data of its users."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from storage import suppression_list
from storage.suppression_list import (
    FORMER_FILE,
    SuppressionList,
    SuppressionListError,
    SuppressionListFollower,
    read_suppression_list,
)
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import ListChannel, excluded, history, release, tracks


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
    assert "u" in following.users


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
    known.erase_users({"u"})
    bench.ask(served)  # a request that began before
    bench.store.is_away = True
    for user, state in (("u", "nothing"), ("v", "memory")):
        found = known.load_user_state(read_request(user, "daily", 3, NOW), served)
        assert found.state_from == state
        assert bool(found.exclusions.track_ids) == (user == "v")
