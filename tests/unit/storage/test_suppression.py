"""A new suppression list is acknowledged when nothing keeps data of its users."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from config.settings import Settings
from serving.pipeline.request import read_request
from serving.pipeline.stages.hydrate import Hydrator
from storage.suppression_list import (
    FORMER_FILE,
    SuppressionList,
    SuppressionListError,
    SuppressionListFollower,
    content_digest,
    read_content,
    read_suppression_list,
)
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import ListChannel, excluded, history, release, tracks


def forget(here: Settings, *users: str) -> None:
    read_suppression_list(here.suppression_list).with_users(users).write(here.suppression_list)


def test_a_list_with_the_former_name_is_enforced_until_a_newer_one_is_written(tmp_path: Path) -> None:
    file = tmp_path / "suppression_list.json"
    SuppressionList().with_users(["ann"]).write(tmp_path / FORMER_FILE)
    users = read_suppression_list(file)
    assert "ann" in users
    users.with_users(["bob"]).write(file)
    assert read_suppression_list(file).intersection(["ann", "bob", "cid"]) == {"ann", "bob"}


@pytest.mark.parametrize("damaged", ["", "{", '{"salt": "xyz", "users": []}'])
def test_a_damaged_list_is_rejected_at_the_start_and_keeps_the_previous_version_later(
    here: Settings, damaged: str
) -> None:
    forget(here, "u")
    following = SuppressionListFollower(here.suppression_list, Mock())
    here.suppression_list.write_text(damaged)
    with pytest.raises(SuppressionListError, match=r"suppression_list.json is damaged.*backup"):
        SuppressionListFollower(here.suppression_list, Mock())
    with pytest.raises(SuppressionListError):
        following.reload()
    assert "u" in following.users


def test_no_acknowledgement_until_caches_are_dropped(here: Settings) -> None:
    following = SuppressionListFollower(here.suppression_list, Mock(side_effect=[RuntimeError("not now"), None]))
    forget(here, "u")
    digest = content_digest(read_content(here.suppression_list))
    with pytest.raises(RuntimeError):
        following.reload()
    assert following.digest != digest
    following.reload()
    assert following.digest == digest


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
