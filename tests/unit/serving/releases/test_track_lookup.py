"""Tracks of names come from the release that serves the user."""

import json

import pytest
from prometheus_client import CollectorRegistry

from config import settings
from serving.errors import NotReady
from serving.observability.degraded_parts import Degradation
from serving.observability.metrics import Metrics
from serving.releases.manager import ReleaseManager
from serving.releases.track_lookup import TrackLookup
from tests.support.serving.small_release import ListChannel, release, tracks

COUNTS = {"production": 4, "canary": 3}
"""Release → number of its tracks; the canary lacks the last track of artist a1."""


@pytest.fixture
def releases(tmp_path):
    def load(folder):
        return release(tracks(COUNTS[folder.name]), [ListChannel("popularity", [2])], release_id=folder.name)

    metrics = Metrics(CollectorRegistry())
    return ReleaseManager(tmp_path / "active.json", load, lambda _: None, metrics, Degradation(metrics))


def test_names_are_those_of_the_release_that_serves_the_user(releases, tmp_path):
    lookup = TrackLookup(settings.load_settings(), releases)
    with pytest.raises(NotReady):
        lookup.find_by_names([("Song 1", "Artist 0")], "u")
    (tmp_path / "active.json").write_text(json.dumps({"release": "production", "path": "/releases/production"}))
    releases.poll()
    names = [("Song 1", "Artist 0"), ("SONG  3", " artist 1"), ("Song 3", "Artist 0"), ("", ""), ("Song 9", "Artist 4")]
    assert lookup.find_by_names(names, "u") == ["t1", "t3", None, None, None]
    (tmp_path / "active.json").write_text(json.dumps({"release": "canary", "path": "/releases/canary"}))
    releases.poll()
    assert lookup.find_by_names(names[:2], "u") == ["t1", None]
    assert lookup.find_by_names([], "u") == []
