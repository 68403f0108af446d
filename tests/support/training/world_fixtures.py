"""Session fixtures: the tiny world and the planted world.

Their modules are imported by the first test that needs them: pytest-xdist loads this plugin in the main process, too, which
runs no tests, and importing torch takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.training.planted_world import PlantedWorld
    from training.data.training_data import TrainingData


@pytest.fixture(scope="session")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Marts of the tiny world."""
    from tests.support.training.tiny_world import random_plays, write_marts

    return write_marts(tmp_path_factory.mktemp("marts"), random_plays())


@pytest.fixture(scope="session")
def data(marts: Path) -> TrainingData:
    """Held-out training data of the tiny world."""
    return _held_out(marts)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedWorld:
    """A simulated world with its ground-truth interests."""
    from ingestion.simulate import WorldSize
    from tests.support.training.planted_world import planted_world

    return planted_world(tmp_path_factory.mktemp("planted"), WorldSize(users=400, tracks=600, days=40, seed=4))


@pytest.fixture(scope="session")
def described_data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """The tiny world with lyrics and audio vectors, and with unplayed tracks in the catalog."""
    from tests.support.training.tiny_world import described, random_plays

    return _held_out(described(tmp_path_factory.mktemp("described"), random_plays()))


@pytest.fixture(scope="module")
def every_order_is_accepted() -> Iterator[None]:
    """Learned orders are kept although they are no better on a small world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.recall.learned_order.compare_orders", lambda *_: (True, {}))
        yield


def _held_out(marts: Path) -> TrainingData:
    from tests.support.training.tiny_world import SERVICES
    from training.data.training_data import TrainingData
    from training.recipes import recipe

    return TrainingData(marts, "held_out", recipe("debug"), services=SERVICES)
