"""Rows that violate a range or an enumeration of the landed tables are quarantined, so that they do not stop the pipeline."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from great_expectations import expectations as gxe

from ingestion import contract
from ingestion.row_validation import conform
from quality import suites
from quality.suites import LANDED_EVENTS, MARTS
from tests.support.log_sources import event

PLAY = event(action="play", played_ms=1, ended_at="2026-05-01T10:00:00.001Z")
ROWS: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "listening_events": (PLAY, LANDED_EVENTS.expectations),
    "tracks": ({"track_id": "t", "duration_ms": 1}, MARTS["tracks"].expectations),
}


@pytest.mark.parametrize("table", ROWS)
def test_values_outside_the_limits_of_validation_are_quarantined(table: str) -> None:
    row, expectations = ROWS[table]
    violations: list[dict[str, Any]] = []
    for expectation in expectations:
        column = getattr(expectation, "column", "")
        if column not in contract.SCHEMAS[table].names:
            continue
        if isinstance(expectation, gxe.ExpectColumnValuesToBeBetween):
            limits = ((expectation.min_value, -1), (expectation.max_value, 1))
            violations += [{column: limit + step} for limit, step in limits if limit is not None]
        elif isinstance(expectation, gxe.ExpectColumnValuesToBeInSet):
            violations.append({column: "other"})
    assert violations
    for violation in violations:
        reason = conform(table, pl.DataFrame([row | violation]))["reason"].item()
        assert reason is not None and next(iter(violation)) in reason


def test_validation_and_contract_have_the_same_actions_and_targets() -> None:
    """The packages do not import each other."""
    assert tuple(suites.ACTIONS) == contract.ACTIONS
    assert tuple(suites.TARGETS) == contract.TARGET_TYPES and tuple(suites.EVENT_TARGETS) == contract.EVENT_TARGET_TYPES
    assert (tuple(suites.REVERSALS), tuple(suites.CONTROLS)) == (contract.REVERSALS, contract.CONTROLS)
