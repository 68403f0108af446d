"""Selection and evaluation on logs that are so small that their validation or test part is empty."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from releases.format import MissingInput
from tests.support.training.fitted_workspace import workspace
from training.data.plays import PARTS
from training.evaluate import evaluate
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.model_selection import choose
from training.evaluation.serving_filter import ServingFilter
from training.release.publish import release


def without_part(held_out: HeldOutModels, part: str) -> HeldOutModels:
    """The models with data whose plays of every part come from `train`."""
    plays = held_out.data.plays
    part_P = np.where(plays.part_P == PARTS.index(part), PARTS.index("train"), plays.part_P)
    held_out.data.plays = replace(plays, part_P=part_P.astype(plays.part_P.dtype))
    return held_out


def test_log_without_a_validation_part_gets_the_simplest_ranker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = without_part(HeldOutModels.open(workspace(tmp_path, monkeypatch)), "validation")
    choice = choose(held_out, ServingFilter.from_data(held_out.data))
    assert choice.ranker == "sum_pooling" and choice.notes["fusion_cases"] == 0


def test_log_without_a_test_part_is_evaluated_and_not_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, load = workspace(tmp_path, monkeypatch), HeldOutModels.open
    monkeypatch.setattr(HeldOutModels, "open", lambda *arguments: without_part(load(*arguments), "test"))
    assert evaluate(here)
    content = json.loads((tmp_path / "reports" / "evaluation.json").read_text())
    assert content["cases"]["test_sessions"] == 0
    assert content["slate_lists"]["served"] == {"discovery_share": [None] * 3, "tracks_per_artist": [None] * 2}
    assert "share of tracks not played before" not in (tmp_path / "reports" / "evaluation.html").read_text()
    with pytest.raises(MissingInput, match="land more plays"):
        release(here)
