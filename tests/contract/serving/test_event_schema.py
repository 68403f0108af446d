"""Validation of reported events: the enums and rules of the landing contract, with reasons that name the column."""

from datetime import UTC, datetime

import polars as pl
import pytest

from ingestion import contract
from ingestion.row_validation import conform
from serving.events.event_schema import (
    COLUMNS,
    CONTROL_TARGETS,
    MAX_POSITION,
    MICROSECONDS_PER_SECOND,
    TARGET_TYPES,
    EventRejected,
    ReportedEvent,
    allowed_actions,
    read_event,
)

NOW = 1_800_000_000 * MICROSECONDS_PER_SECOND
CLICK = {"event_id": "e1", "user_id": "u", "target_type": "track", "target_id": "t", "action": "click"}
PLAY = CLICK | {"action": "play", "played_ms": 200_000}


def test_enums_and_columns_match_the_landing_contract():
    assert set(allowed_actions()) == set(contract.ACTIONS)
    assert TARGET_TYPES == contract.EVENT_TARGET_TYPES
    assert (CONTROL_TARGETS, MAX_POSITION) == (contract.CONTROL_TARGETS, contract.MAX_POSITION)
    assert list(COLUMNS) == contract.source_schema("listening_events").names


def test_missing_times_default_to_now():
    assert read_event(CLICK, NOW)["occurred_at"] == read_event(CLICK, NOW)["ended_at"] == NOW
    assert read_event(PLAY, NOW)["occurred_at"] == NOW - 200 * MICROSECONDS_PER_SECOND
    assert (
        read_event(PLAY | {"occurred_at": NOW - 300 * MICROSECONDS_PER_SECOND}, NOW)["ended_at"]
        == NOW - 100 * MICROSECONDS_PER_SECOND
    )


def test_times_are_iso_or_microseconds():
    moment = datetime.fromtimestamp(NOW // MICROSECONDS_PER_SECOND - 60, tz=UTC)
    for text in (
        moment.isoformat(),
        moment.isoformat().replace("+00:00", "Z"),
        moment.replace(tzinfo=None).isoformat(),
    ):
        assert read_event(CLICK | {"occurred_at": text}, NOW)["ended_at"] == NOW - 60 * MICROSECONDS_PER_SECOND
    assert (
        read_event(CLICK | {"occurred_at": NOW - 60 * MICROSECONDS_PER_SECOND}, NOW)["ended_at"]
        == NOW - 60 * MICROSECONDS_PER_SECOND
    )


def test_row_without_id_is_deduplicated_by_content():
    row = {name: value for name, value in PLAY.items() if name != "event_id"} | {"ended_at": NOW}
    first = read_event(row, NOW)["event_id"]
    assert first == read_event(row, NOW + 5 * MICROSECONDS_PER_SECOND)["event_id"]
    assert first != read_event(row | {"target_id": "other"}, NOW)["event_id"]


def test_row_without_id_and_times_is_another_event_when_it_is_sent_again():
    row = {name: value for name, value in CLICK.items() if name != "event_id"}
    assert read_event(row, NOW)["event_id"] != read_event(row, NOW + 1)["event_id"]
    assert "if a row without times is resent" in ReportedEvent.model_fields["event_id"].description


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "not list"),
        (CLICK | {"colour": 1}, "'colour'"),
        (CLICK | {"user_id": None}, "user_id is missing"),
        (CLICK | {"user_id": ""}, "user_id"),
        (CLICK | {"user_id": " a"}, "user_id begins or ends with white space"),
        (CLICK | {"target_id": "t\u3000"}, "target_id begins or ends with white space"),
        (CLICK | {"user_id": "a\nb"}, "unprintable character"),
        (CLICK | {"user_id": "\ud800"}, "unprintable character"),
        (CLICK | {"user_id": "a\u2028b"}, "unprintable character"),
        (CLICK | {"target_id": "é" * 200}, "longer than 256 bytes"),
        (CLICK | {"action": "dance"}, "'dance' is not one of"),
        (CLICK | {"target_type": "song"}, "'song' is not one of"),
        (CLICK | {"action": "play"}, "played_ms is missing"),
        (CLICK | {"played_ms": 5}, "only plays may have it"),
        (PLAY | {"played_ms": -1}, "played_ms"),
        (PLAY | {"played_ms": True}, "played_ms"),
        (PLAY | {"played_ms": 86_400_001}, "played_ms"),
        (CLICK | {"propensity": 0}, "propensity"),
        (CLICK | {"propensity": float("nan")}, "propensity"),
        (CLICK | {"position": 10_001}, "position"),
        (CLICK | {"occurred_at": "yesterday"}, "occurred_at is not a time"),
        (CLICK | {"occurred_at": 1.5}, "occurred_at is not a time"),
        (CLICK | {"occurred_at": 10**30}, "occurred_at is not a time"),
        (CLICK | {"occurred_at": NOW + 301 * MICROSECONDS_PER_SECOND}, "ahead of the server's clock"),
        (CLICK | {"occurred_at": NOW // 1000}, "multiply seconds by 1,000,000"),
        (CLICK | {"occurred_at": NOW - 5, "ended_at": NOW}, "only plays may have a duration"),
        (PLAY | {"occurred_at": NOW, "ended_at": NOW - 1}, "occurred_at is after ended_at"),
    ],
)
def test_invalid_row_is_rejected_with_a_reason(row, reason):
    with pytest.raises(EventRejected, match=reason):
        read_event(row, NOW)


HUGE = [10**400, -(10**400), 2**63, float("inf"), float("-inf"), float("nan")]


@pytest.mark.parametrize("value", HUGE, ids=["1e400", "-1e400", "2**63", "inf", "-inf", "nan"])
@pytest.mark.parametrize(
    "column", ["sequence_number", "occurred_at", "ended_at", "played_ms", "position", "propensity"]
)
def test_numbers_out_of_range_are_rejected_in_every_column(column, value):
    with pytest.raises(EventRejected, match=f"^{column} "):
        read_event(PLAY | {column: value}, NOW)


@pytest.mark.parametrize("name", ["夜晚\u3000歌单", "late\u00a0nights", "👨\u200d👩\u200d👧", "می\u200cخواهم"])
def test_spaces_and_joiners_of_all_scripts_are_printable(name):
    rename = {"user_id": "u", "target_type": "interest", "target_id": f"i={name}", "action": "rename"}
    assert read_event(rename, NOW)["target_id"] == f"i={name}"


def test_valid_rows_pass_the_landing_contract():
    rows = [
        CLICK,
        PLAY | {"event_id": "e2", "occurred_at": NOW - 9 * MICROSECONDS_PER_SECOND},
        CLICK
        | {
            "event_id": "e3",
            "action": "block",
            "target_type": "artist",
            "propensity": 0.5,
            "position": 3,
            "scene": "daily",
        },
        CLICK
        | {"event_id": "e4", "action": "impression", "request_id": "r", "device": "phone", "context_id": "playlist:7"},
    ]
    events = [read_event(row, NOW) | {"sequence_number": number} for number, row in enumerate(rows)]
    checked = conform("listening_events", pl.DataFrame(events, infer_schema_length=None))
    assert checked["reason"].to_list() == [None] * len(rows)
