"""Model selection on a log that is so small that its validation part is empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.training.fitted_workspace import workspace
from training.data.plays import PARTS
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.model_selection import choose
from training.evaluation.serving_filter import ServingFilter


def test_log_without_a_validation_part_gets_the_simplest_ranker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = HeldOutModels.open(workspace(tmp_path, monkeypatch))
    plays = held_out.data.plays
    part_P = np.where(plays.part_P == PARTS.index("validation"), PARTS.index("train"), plays.part_P)
    held_out.data.plays = replace(plays, part_P=part_P.astype(plays.part_P.dtype))
    choice = choose(held_out, ServingFilter.from_data(held_out.data))
    assert choice.ranker == "sum_pooling" and choice.notes["fusion_cases"] == 0
