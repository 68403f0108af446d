"""Content of the registry after `feast apply`, run from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import feast
import pytest

from config import settings
from config.tool_environment import tool_environment
from recommender.ranking.registry import RANKERS
from recommender.recall.registry import CHANNELS
from sequences.sequence_views import SEQUENCE_TAG, SEQUENCE_VIEWS, SequenceView
from tests.support.pipeline_commands import FEAST, command
from tests.support.sequences.event_rows import write_events, write_profiles


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    home = tmp_path_factory.mktemp("home")
    here = settings.Settings(home=home)
    write_events(home / "marts" / "events.parquet", [])
    write_profiles(home / "marts" / "user_profiles.parquet")
    command(here, *FEAST, "-c", "feature_repo", "apply")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in tool_environment(here).items():
            patch.setenv(name, value)
        return feast.FeatureStore(repo_path=str(settings.ROOT / "feature_repo"))


def test_every_declared_sequence_is_a_view_with_its_attributes(applied: feast.FeatureStore) -> None:
    for name, view in SEQUENCE_VIEWS.items():
        stored = applied.get_feature_view(name)
        assert tuple(feature.name for feature in stored.features) == view.attribute_names
        assert SequenceView.from_json(stored.batch_source.tags[SEQUENCE_TAG]) == view


def test_one_service_per_model(applied: feast.FeatureStore) -> None:
    assert {service.name for service in applied.list_feature_services()} == {*CHANNELS, *RANKERS, "recommender"}
    assert {projection.name for projection in applied.get_feature_service("recommender").feature_view_projections} == {
        *SEQUENCE_VIEWS,
        "user_profile",
    }


def test_unset_home_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    variables = {**os.environ, **tool_environment(settings.Settings(home=tmp_path))}
    environment = {name: value for name, value in variables.items() if name != "SEGUE_HOME"}
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
