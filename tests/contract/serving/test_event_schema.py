"""One contract of events: landing and service judge rows the same, and the service also what a report may leave out."""

import random
import re
from datetime import UTC, datetime

import polars as pl
import pytest

from event_store.behaviors import ACTIONS, EVENT_TARGET_TYPES
from ingestion.row_validation import conform
from serving.events.event_schema import MICROSECONDS_PER_SECOND, EventRejected, read_event

NOW = 1_800_000_000 * MICROSECONDS_PER_SECOND
CLICK = {"event_id": "e1", "user_id": "u", "target_type": "track", "target_id": "t", "action": "click"}
PLAY = CLICK | {"action": "play", "played_ms": 200_000}
TIMES = {"occurred_at": NOW, "ended_at": NOW}


def landed_reasons(rows):
    """Why landing quarantines rows; None if it does not."""
    given = [{"sequence_number": 1, "event_id": "e"} | TIMES | row for row in rows]
    return conform("listening_events", pl.DataFrame(given, infer_schema_length=None))["reason"].to_list()


def reported_reason(row):
    """Why the service rejects a row; None if it does not."""
    try:
        read_event(row, NOW)
    except EventRejected as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (CLICK | {"user_id": None}, "user_id is missing"),
        (CLICK | {"action": None}, "action is missing"),
        (CLICK | {"target_type": None}, "target_type is missing"),
        (CLICK | {"target_id": None}, "target_id is missing"),
        *(
            (CLICK | {"user_id": f"al{one}ice"}, "user_id is too long or not printable")
            for one in "\0\n\u0378\u2028\ue000\ufffd"
        ),
        (CLICK | {"target_id": "é" * 129}, "give at most 256 bytes"),
        (CLICK | {"action": "dance"}, "dance.* is not one of impression"),
        (CLICK | {"target_type": "song"}, "song.* is not one of track"),
        (CLICK | {"action": "reset"}, "reset.* does not apply to target_type .*track.* rename: interest"),
        (CLICK | {"target_type": "interest"}, "click.* does not apply to target_type .*interest"),
        (CLICK | {"action": "play"}, "played_ms is missing; plays need it"),
        (CLICK | {"played_ms": 5}, "click.* has played_ms 5; only plays may have it"),
        (PLAY | {"played_ms": 86_400_001}, "played_ms 86400001 is not from 0 to 86400000"),
        (CLICK | {"position": 10_001}, "position 10001 is not from 0 to 10000"),
        (CLICK | {"propensity": 0}, r"propensity 0.0 is not in \(0, 1\]"),
        (CLICK | {"propensity": 1.5}, r"propensity 1.5 is not in \(0, 1\]"),
        (CLICK | {"occurred_at": NOW - 5, "ended_at": NOW}, "only plays may have a duration"),
        (PLAY | {"occurred_at": NOW, "ended_at": NOW - 1}, "ended_at .* is before occurred_at"),
    ],
)
def test_landing_and_service_give_the_same_reason(row, reason):
    (landed,) = landed_reasons([row])
    for found in (landed, reported_reason(row)):
        assert found is not None and re.search(reason, found)


def test_landing_and_service_judge_random_rows_the_same():
    rng = random.Random(1)
    texts = ["t", "李 明", "é" * 128, "é" * 129, "a\nb", "\ufffd", "👨\u200d👩", "\u0378", None]
    values = {
        "user_id": texts,
        "target_id": [text and f"={text}" for text in texts],
        "context_id": texts,
        "action": [*ACTIONS, "dance", None],
        "target_type": [*EVENT_TARGET_TYPES, "song", None],
        "played_ms": [0, 86_400_000, 86_400_001, None],
        "position": [0, 10_000, 10_001, None],
        "propensity": [0.0, 1e-9, 1.0, 1.1, None],
        "ended_at": [NOW - 1, NOW, NOW + 1],
    }
    rows = []
    for _ in range(5000):
        row = CLICK | TIMES | {"action": rng.choice(ACTIONS), "target_id": "i=x"}
        row["target_type"] = rng.choice(EVENT_TARGET_TYPES)
        row["played_ms"] = 9 if row["action"] == "play" else None
        rows.append(row | {name: rng.choice(values[name]) for name in rng.sample(sorted(values), rng.randrange(3))})
    is_landed = [reason is None for reason in landed_reasons(rows)]
    assert is_landed == [reported_reason(row) is None for row in rows]
    assert 1000 < sum(is_landed) < 4000


SECOND = MICROSECONDS_PER_SECOND
MINUTE_AGO = datetime.fromtimestamp(NOW // SECOND - 60, tz=UTC)


@pytest.mark.parametrize(
    ("row", "column", "at_us"),
    [
        (CLICK, "occurred_at", NOW),
        (CLICK, "ended_at", NOW),
        (PLAY, "occurred_at", NOW - 200 * SECOND),
        (PLAY | {"occurred_at": NOW - 300 * SECOND}, "ended_at", NOW - 100 * SECOND),
        (CLICK | {"occurred_at": MINUTE_AGO.isoformat()}, "ended_at", NOW - 60 * SECOND),
        (CLICK | {"occurred_at": MINUTE_AGO.isoformat().replace("+00:00", "Z")}, "ended_at", NOW - 60 * SECOND),
        (CLICK | {"occurred_at": MINUTE_AGO.replace(tzinfo=None).isoformat()}, "ended_at", NOW - 60 * SECOND),
        (CLICK | {"occurred_at": NOW - 60 * SECOND}, "ended_at", NOW - 60 * SECOND),
    ],
)
def test_times_are_iso_or_microseconds_and_by_default_now(row, column, at_us):
    assert read_event(row, NOW)[column] == at_us


def test_row_without_id_is_deduplicated_by_content():
    row = {name: value for name, value in PLAY.items() if name != "event_id"} | {"ended_at": NOW}
    first = read_event(row, NOW)["event_id"]
    assert first == read_event(row, NOW + 5 * MICROSECONDS_PER_SECOND)["event_id"]
    assert first != read_event(row | {"target_id": "other"}, NOW)["event_id"]


def test_row_without_id_and_times_is_another_event_when_it_is_sent_again():
    row = {name: value for name, value in CLICK.items() if name != "event_id"}
    assert read_event(row, NOW)["event_id"] != read_event(row, NOW + 1)["event_id"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([], "not list"),
        (CLICK | {"colour": 1}, "'colour'"),
        (CLICK | {"user_id": ""}, "user_id must be text, not empty"),
        (CLICK | {"user_id": " a"}, "user_id must be text, .* without white space at its ends"),
        (CLICK | {"target_id": "t\u3000"}, "target_id must be text"),
        (CLICK | {"user_id": "\ud800"}, "user_id is too long or not printable"),
        (CLICK | {"device": "a\nb"}, "device is too long or not printable"),
        (CLICK | {"action": "rename", "target_type": "interest"}, "target_id of a rename is the interest, '='"),
        (PLAY | {"played_ms": -1}, "played_ms must be an integer from 0"),
        (PLAY | {"played_ms": True}, "played_ms must be an integer"),
        (CLICK | {"occurred_at": "yesterday"}, "occurred_at must be a time: ISO 8601"),
        (CLICK | {"occurred_at": 1.5}, "occurred_at must be a time"),
        (CLICK | {"occurred_at": NOW + 301 * MICROSECONDS_PER_SECOND}, "ahead of the server's clock"),
        (CLICK | {"occurred_at": NOW - 2_592_001 * MICROSECONDS_PER_SECOND}, "more than 30 days ago; land history"),
        (CLICK | {"occurred_at": NOW // 1000}, "multiply seconds by 1,000,000"),
    ],
)
def test_invalid_row_is_rejected_with_a_reason(row, reason):
    with pytest.raises(EventRejected, match=reason):
        read_event(row, NOW)


@pytest.mark.parametrize(
    "value",
    [10**400, -(10**400), 2**63, float("inf"), float("-inf"), float("nan")],
    ids=["1e400", "-1e400", "2**63", "inf", "-inf", "nan"],
)
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
