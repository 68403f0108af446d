"""A new release is swapped in whole; one that fails is refused and the old one goes on."""

import json
import threading
import time

import pytest
from prometheus_client import CollectorRegistry

from serving.metrics import Metrics
from serving.release_holder import ReleaseHolder
from tests.serving.small_release import ListChannel, release, tracks


@pytest.fixture
def pointer(tmp_path):
    return tmp_path / "active.json"


def point(pointer, name):
    pointer.write_text(json.dumps({"release": name, "path": f"/releases/{name}"}))


def holder_of(pointer, registry, poll_s=60.0):
    def load(folder):
        if folder.name == "missing":
            raise FileNotFoundError(folder)
        return release(tracks(4), [ListChannel("popularity", [2])], release_id=folder.name)

    def warm_up(one):
        if one.release_id == "broken":
            raise RuntimeError("cannot answer")

    return ReleaseHolder(pointer, load, warm_up, Metrics(registry), poll_s)


def test_a_release_is_served_swapped_and_kept_when_the_next_one_fails(pointer):
    registry = CollectorRegistry()
    holder = holder_of(pointer, registry)
    assert (holder.poll(), holder.current) == (False, None)
    point(pointer, "one")
    assert (holder.poll(), holder.poll(), holder.current.release_id) == (True, False, "one")
    for name in ("broken", "missing"):
        point(pointer, name)
        assert (holder.poll(), holder.current.release_id) == (False, "one")
    pointer.write_text("{")
    assert (holder.poll(), holder.current.release_id) == (False, "one")
    point(pointer, "two")
    assert (holder.poll(), holder.current.release_id) == (True, "two")
    assert registry.get_sample_value("segue_releases_total", {"outcome": "refused"}) == 3
    assert registry.get_sample_value("segue_releases_total", {"outcome": "served"}) == 2


def test_the_pointer_is_followed_in_the_background(pointer):
    holder = holder_of(pointer, CollectorRegistry(), poll_s=0.01)
    holder.start()
    point(pointer, "one")
    deadline = time.monotonic() + 5
    while holder.current is None and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    holder.close()
    assert holder.current.release_id == "one"
