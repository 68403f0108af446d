"""Fields of nested configs are changed by path."""

from __future__ import annotations

import pytest

from config.dataclass_io import change_config
from recommender.recall.realtime import Realtime
from training.recipes import config_of


def test_changes_by_path_leave_the_rest_alone_and_unknown_fields_raise() -> None:
    config = config_of(Realtime, "debug")
    changed = change_config(config, {"optimizer.max_passes": 7.0, "optimizer.steps": 3})
    assert (changed.optimizer.max_passes, changed.optimizer.steps) == (7.0, 3)
    assert change_config(changed, {"optimizer": config.optimizer}) == config
    with pytest.raises(ValueError, match="has no field 'width'"):
        change_config(config, {"optimizer.width": 3})
