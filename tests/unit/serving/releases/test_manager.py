"""Releases are swapped atomically, for all users or a share; a failing one is rejected and the previous one stays."""

import json

import pytest
from prometheus_client import CollectorRegistry

from releases import traffic_split
from releases.integrity import DamagedRelease
from releases.traffic_split import CanaryRelease, TrafficSplit
from serving.observability.degraded_parts import Degradation
from serving.observability.metrics import Metrics
from serving.releases.manager import ReleaseManager
from serving.releases.served_release import load_release
from tests.support.serving.small_release import CONTRACT, ListChannel, release, tracks

USERS = [f"u{number}" for number in range(300)]


class Held:
    """A release manager over a folder, with its metrics and the releases it loaded."""

    def __init__(self, folder):
        self.pointer, self.shares = folder / "active.json", folder / "shares.json"
        self.registry, self.loaded = CollectorRegistry(), []
        metrics = Metrics(self.registry)
        self.degradation = Degradation(metrics)
        self.holder = ReleaseManager(self.pointer, self.load, self.warm_up, metrics, self.degradation)

    def load(self, folder):
        self.loaded.append(folder.name)
        if folder.name == "missing":
            raise FileNotFoundError(folder)
        return release(tracks(4), [ListChannel("popularity", [2])], release_id=folder.name)

    @staticmethod
    def warm_up(one):
        if one.release_id.startswith("broken"):
            raise RuntimeError("cannot answer")

    def point(self, name):
        self.pointer.write_text(json.dumps({"release": name, "path": f"/releases/{name}"}))
        return self.holder.poll()

    def share(self, **beside):
        rows = tuple(CanaryRelease(name, f"/releases/{name}", share) for name, share in beside.items())
        traffic_split.write(self.shares, TrafficSplit("colours" if rows else "", rows))
        return self.holder.poll()

    def of(self, user):
        found, arm = self.holder.release_for(user)
        return found.release_id, arm

    def number(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def held(tmp_path):
    return Held(tmp_path)


def test_release_is_served_and_kept_when_the_next_fails(held):
    holder = held.holder
    assert (holder.poll(), holder.current) == (False, None)
    assert (held.point("one"), holder.poll(), holder.current.release_id) == (True, False, "one")
    for name in ("broken", "missing"):
        assert (held.point(name), holder.current.release_id) == (False, "one")
        assert [one["release"] for one in holder.status()["rejected"]] == [name]
        assert held.number("segue_releases_rejected") == held.number("segue_degraded", part="release") == 1
        assert held.degradation.parts["release"].why == f"{name} was rejected; one stays in service"
    held.pointer.write_text(json.dumps({"release": "two", "path": "/releases/three"}))
    assert (holder.poll(), holder.current.release_id) == (False, "one")
    assert holder.status()["rejected"][0]["why"] == "/releases/three holds release three, not two; release it again"
    held.pointer.write_text("{")
    assert (holder.poll(), holder.current.release_id) == (False, "one")
    assert (held.point("two"), holder.current.release_id) == (True, "two")
    assert holder.status()["rejected"] == []
    assert held.number("segue_releases_total", outcome="refused") == 4
    assert held.number("segue_releases_total", outcome="served") == 2
    assert held.number("segue_releases_rejected") == held.number("segue_degraded", part="release") == 0


def test_canary_serves_its_share_and_sets_the_arm(held):
    held.point("one")
    assert held.of("u1") == ("one", "")
    assert held.share(two=0.3) and not held.holder.poll()
    wanted = traffic_split.read(held.shares)
    for user in USERS:
        name = wanted.assign_release(user)
        assert held.of(user) == (name or "one", f"colours/{name or 'production'}")
    assert held.of("") == ("one", "")
    assert {held.of(user)[0] for user in USERS} == {"one", "two"}
    assert held.number("segue_release_share", release="two") == 0.3
    assert held.number("segue_release_share", release="one") == 0.7
    assert held.holder.status()["canaries"] == [{"release": "two", "share": 0.3, "is_in_service": True}]


@pytest.mark.parametrize("name", ["broken", "missing"])
def test_users_of_a_rejected_canary_get_production_without_arm(held, name):
    held.point("one")
    held.share(**{name: 0.5, "two": 0.2})
    wanted = traffic_split.read(held.shares)
    answered = {wanted.assign_release(user): held.of(user) for user in USERS}
    assert answered == {name: ("one", ""), "two": ("two", "colours/two"), None: ("one", "colours/production")}
    (refused,) = held.holder.status()["rejected"]
    assert refused["release"] == name and refused["why"]
    assert held.number("segue_releases_rejected") == 1
    assert held.number("segue_release_share", release="one") == pytest.approx(0.8)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="torn"),
        pytest.param(b"\xff", id="no text"),
        *(
            pytest.param(json.dumps({"experiment": "x", "canaries": [row]}).encode(), id=str(row))
            for row in (
                {"release": "two", "path": "/two", "share": 2},
                {"release": "two", "path": None, "share": 0.5},
                {"release": 2, "path": "/two", "share": 0.5},
            )
        ),
    ],
)
def test_a_damaged_shares_file_keeps_the_split_and_production_is_still_followed(held, content):
    held.point("one")
    held.share(two=1.0)
    held.shares.write_bytes(content)
    assert held.point("three") and (held.of("u1"), held.of("")) == (("two", "colours/two"), ("three", ""))
    assert [one["release"] for one in held.holder.status()["rejected"]] == [str(held.shares)]
    assert held.number("segue_releases_rejected") == 1


def test_a_damaged_release_is_not_loaded(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "files.sha256").write_text(f"{'0' * 64}  manifest.json\n")
    with pytest.raises(DamagedRelease, match=r"manifest.json differs from files.sha256"):
        load_release(tmp_path, CONTRACT)
