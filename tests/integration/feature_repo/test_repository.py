"""`feast apply` on the repository as a person runs it, and what the registry holds afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import feast
import pytest

from config import settings
from sequences.views import LIVE_SOURCE, SEQUENCE_TAG, SEQUENCE_VIEWS, SequenceView
from tests.support.sequences.event_rows import write_events
from training.ranking import RANKERS
from training.recall import CHANNELS


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    home = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "SEGUE_HOME": str(home), "SEGUE_MARTS": str(home / "marts"), "FEAST_USAGE": "False"}
    write_events(home / "marts" / "events.parquet", [])
    done = subprocess.run(
        [str(Path(sys.executable).parent / "feast"), "-c", str(settings.ROOT / "feature_repo"), "apply"],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    patch = pytest.MonkeyPatch()
    patch.setenv("SEGUE_HOME", str(home))
    store = feast.FeatureStore(repo_path=str(settings.ROOT / "feature_repo"))
    patch.undo()
    return store


def test_every_declared_sequence_is_a_view_with_its_attributes(applied: feast.FeatureStore) -> None:
    for name, view in SEQUENCE_VIEWS.items():
        stored = applied.get_feature_view(name)
        assert tuple(feature.name for feature in stored.features) == view.attribute_names
        assert SequenceView.from_json(stored.batch_source.tags[SEQUENCE_TAG]) == view


def test_one_service_a_model(applied: feast.FeatureStore) -> None:
    names = {service.name for service in applied.list_feature_services()}
    assert names == {*CHANNELS, *RANKERS, "recommender"}
    online = {projection.name for projection in applied.get_feature_service("recommender").feature_view_projections}
    assert online == {*SEQUENCE_VIEWS, LIVE_SOURCE, "user_profile"}


def test_live_events_are_pushed_by_that_name(applied: feast.FeatureStore) -> None:
    assert applied.get_feature_view(LIVE_SOURCE).stream_source.name == LIVE_SOURCE


def test_an_unset_home_is_named_before_anything_is_written(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SEGUE_HOME"}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "feast"), "-c", str(settings.ROOT / "feature_repo"), "apply"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "SEGUE_HOME" in done.stdout + done.stderr
    assert not (settings.ROOT / "feature_repo" / "${SEGUE_HOME}").exists()
