"""Expectation suites: one per mart, one for the landed events and one for encoded content. Adding an expectation is adding a line.
Their texts, which pages show, are in `meta`.

A column that begins with `table_` is a metric of the whole table (see `table_metrics.py`); others are columns of the
rows.
"""

# Great Expectations does not declare the re-export of its expectations, so strict mypy reports missing names.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from great_expectations import expectations as gxe
from great_expectations.expectations.expectation import Expectation

from event_store.behaviors import BEHAVIORS, POLARITIES, TARGET_TYPES
from event_store.event_rules import COLUMN, DAY_MS, EVENT_COLUMNS
from storage.mart_tables import ENCODER_NAMES

SPLIT_PARTS = ["train", "validation", "test"]


@dataclass(frozen=True)
class Suite:
    """Expectations of one table."""

    key: tuple[str, ...]  # columns of the unique key
    newest: str | None  # column whose largest values mark the newest rows; None: the table has no time
    expectations: tuple[Expectation, ...]
    has_time: bool = False  # freshness, volume and drift are computed


def not_null(*columns: str) -> list[Expectation]:
    """The columns contain no nulls."""
    meta = {"text": "has a value in every row"}
    return [gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta) for column in columns]


def in_set(column: str, values: Sequence[str]) -> Expectation:
    """The column contains only these values; nulls pass."""
    meta = {"text": f"is one of {', '.join(values)}"}
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(values), meta=meta)


def matches(column: str, pattern: str) -> Expectation:
    """The values of the column match a regular expression; nulls pass."""
    return gxe.ExpectColumnValuesToMatchRegex(column=column, regex=pattern, meta={"text": f"matches {pattern}"})


def between(column: str, low: float | None, high: float | None) -> Expectation:
    """The values are within the closed range [low, high]; None: no limit. Nulls pass."""
    meta = {"text": f"is {_range(low, high)}"}
    return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, meta=meta)


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at most {high:,.10g}" if high is not None else f"at least {low:,.10g}"
    return f"{low:,.10g}" if low == high else f"{low:,.10g} to {high:,.10g}"


def within_contract(*names: str) -> list[Expectation]:
    """The values of columns are those that the contract of an event allows; nulls pass."""
    columns = [COLUMN[name] for name in names]
    return [
        in_set(column.name, column.allowed) if column.allowed else between(column.name, 0, column.maximum)
        for column in columns
    ]


def not_after(earlier: str, later: str, or_equal: bool = True) -> Expectation:
    """`earlier` is not greater than `later` in any row.

    Nulls pass; add `not_null` for required columns.
    """
    meta = {"text": f"is {'not less' if or_equal else 'greater'} than {earlier}"}
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=later, column_B=earlier, or_equal=or_equal, ignore_row_if="either_value_is_missing", meta=meta
    )


def row_count(low: int, high: int | None = None) -> Expectation:
    """The number of rows is between `low` and `high`; None: no upper limit."""
    meta = {"text": f"has {_range(low, high)} rows"}
    return gxe.ExpectTableRowCountToBeBetween(min_value=low, max_value=high, meta=meta)


def unique_key() -> Expectation:
    """No two rows have the same key, and no key contains a null: of the rows that are validated."""
    return between("table_duplicate_keys", 0, 0)


LANDED_EVENTS = Suite(
    key=("event_id",),
    newest="ended_at",
    expectations=(
        row_count(1),
        *not_null(*(column.name for column in EVENT_COLUMNS if column.is_required)),
        *within_contract(*(column.name for column in EVENT_COLUMNS if column.allowed or column.maximum)),
        not_after("occurred_at", "ended_at"),
        between("table_hours_before_as_of", None, 48),
    ),
)

TRACK_CONTENT = Suite(
    ("track_id",),
    None,
    (
        unique_key(),
        *not_null("track_id", "encoder_version"),
        in_set("encoder", ENCODER_NAMES),
        matches("content_hash", "^[0-9a-f]{64}$"),
        between("table_encoder_versions", 0, 1),
        between("table_wrong_embeddings", 0, 0),
        between("table_wrong_probabilities", 0, 0),
        between("music_probability", 0, 1),
    ),
)

TRACK_FACETS = Suite(
    ("track_id", "facet", "value"),
    None,
    (
        unique_key(),
        *not_null("track_id", "value"),
        in_set("facet", ["styles", "emotions", "themes"]),
        in_set("source", ["audio"]),
        between("probability", 0, 1),
    ),
)

MARTS: dict[str, Suite] = {
    "behaviors": Suite(
        ("behavior_id",),
        None,
        (
            unique_key(),
            row_count(11),
            *not_null("action", "is_explicit"),
            in_set("behavior", [row.behavior for row in BEHAVIORS]),
            in_set("polarity", POLARITIES),
        ),
    ),
    "events": Suite(
        ("event_id",),
        "known_at",
        (
            unique_key(),
            row_count(1),
            *not_null("user_id", "event_number", "known_at", "request_at", "ended_at", "target_id"),
            in_set("behavior", [row.behavior for row in BEHAVIORS]),
            *within_contract("action", "target_type", "played_ms"),
            between("event_number", 0, None),
            between("played_ratio", 0, 1),
            not_after("request_at", "known_at", or_equal=False),
            not_after("ended_at", "known_at"),
            between("table_hours_before_as_of", 0, None),
            between("table_hours_before_as_of_if_daily", None, 48),
            between("table_volume_ratio", 0.2, 5),
            between("table_action_drift", 0, 0.2),
            between("table_length_drift", 0, 0.25),
            between("table_excluded_user_share", 0, 0.05),
        ),
        has_time=True,
    ),
    "plays": Suite(
        ("event_id",),
        "known_at",
        (
            unique_key(),
            *not_null("user_id", "play_number", "track_id", "session_id", "is_listened", "is_skip", "is_full_play"),
            *not_null("known_at", "request_at"),
            in_set("behavior", [row.behavior for row in BEHAVIORS if row.action == "play"]),
            in_set("part", SPLIT_PARTS),
            between("play_number", 0, None),
            between("played_ratio", 0, 1),
            not_after("request_at", "known_at", or_equal=False),
        ),
    ),
    "sessions": Suite(
        ("session_id",),
        "ended_at",
        (
            unique_key(),
            *not_null("user_id", "started_at", "ended_at", "first_play_number"),
            between("plays", 1, None),
            in_set("part", SPLIT_PARTS),
        ),
    ),
    "impressions": Suite(
        ("event_id",),
        "shown_at",
        (
            unique_key(),
            *not_null("user_id", "target_id", "shown_at", "is_clicked", "is_played", "is_full_play", "is_liked"),
            in_set("target_type", TARGET_TYPES),
            *within_contract("position", "propensity"),
            in_set("part", SPLIT_PARTS),
        ),
    ),
    "exposures": Suite(
        ("event_id",),
        "shown_at",
        (
            unique_key(),
            *not_null("request_id", "user_id", "scene", "release", "arm", "target_id", "shown_at", "is_exploration"),
            in_set("target_type", TARGET_TYPES),
            *within_contract("position", "propensity", "played_ms"),
        ),
    ),
    "online_metrics": Suite(
        ("shown_date", "release", "scene", "channel"),
        "shown_date",
        (
            unique_key(),
            between("exposures", 1, None),
            between("finish_rate", 0, 1),
            between("skip_rate", 0, 1),
            between("likes_per_1000", 0, 1000),
            *not_null("users", "requests", "plays"),
            not_after("plays", "exposures"),
            not_after("users", "requests"),
        ),
    ),
    "likes": Suite(
        ("user_id", "target_type", "target_id"),
        "liked_at",
        (unique_key(), *not_null("liked_at"), in_set("target_type", TARGET_TYPES)),
    ),
    "tracks": Suite(
        ("track_id",),
        None,
        (
            unique_key(),
            row_count(1),
            *not_null("is_in_catalog", "is_duration_estimated"),
            between("duration_ms", 0, DAY_MS),
        ),
    ),
    "artists": Suite(("artist_id",), None, (unique_key(), *not_null("name"))),
    "albums": Suite(("album_id",), None, (unique_key(),)),
    "playlists": Suite(("playlist_id",), None, (unique_key(), in_set("source", ["ugc", "mgc"]))),
    "mlogs": Suite(("mlog_id",), None, (unique_key(),)),
    "track_aliases": Suite(
        ("alias_id",),
        None,
        (unique_key(), *not_null("track_id"), in_set("matched_by", ["hand", "recording", "name", "title"])),
    ),
    "track_conflicts": Suite(
        ("track_id",), None, (unique_key(), *not_null("other_id"), in_set("conflict", ["length", "ambiguous"]))
    ),
    "track_comments": Suite(("comment_id",), None, (unique_key(), *not_null("track_id", "text"))),
    "knowledge_triples": Suite(
        ("head", "relation", "tail"),
        None,
        (
            unique_key(),
            matches("head", "^[a-z_]+:."),
            matches("tail", "^[a-z_]+:."),
        ),
    ),
    "track_statistics": Suite(
        ("track_id", "known_at"),
        "known_at",
        (
            unique_key(),
            *not_null("plays_total", "listens_total", "full_plays_total", "skips_total", "plays_7d", "plays_28d"),
            not_after("listens_total", "plays_total"),
            not_after("skips_total", "plays_total"),
            not_after("full_plays_total", "listens_total"),
            not_after("plays_28d", "plays_total"),
            not_after("plays_7d", "plays_28d"),
            between("likes_total", 0, None),
        ),
    ),
    "user_profiles": Suite(
        ("user_id", "known_at"),
        "known_at",
        (
            unique_key(),
            *not_null("plays_total", "listens_total", "full_plays_total", "skips_total", "tracks_total"),
            not_after("listens_total", "plays_total"),
            not_after("skips_total", "plays_total"),
            not_after("full_plays_total", "listens_total"),
            not_after("tracks_total", "plays_total"),
            between("artists_total", 0, None),
        ),
    ),
    "excluded_user_days": Suite(
        ("user_id", "event_date"),
        None,
        (
            unique_key(),
            in_set("reason", ["actions_per_minute", "events_per_day"]),
            between("events", 1, None),
            *not_null("reason", "most_actions_per_minute"),
        ),
    ),
    "changed_users": Suite(("build", "user_id"), None, (unique_key(), *not_null("from_time"))),
    "landings": Suite(
        ("landing_id", "format"),
        None,
        (unique_key(), *not_null("landed_at"), between("landed", 0, None), between("quarantined", 0, None)),
    ),
    "time_split": Suite(
        ("split",), None, (unique_key(), row_count(1, 1), in_set("split", ["user_time", "global_time"]))
    ),
}
