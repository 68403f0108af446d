"""Checks rows against the data contract.

`conform` converts a table from the types of its source (text from a CSV, numbers from Parquet) to the types of the contract
and adds a reason to each row that violates it. Line numbers and raw text are passed through as ordinary columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial

import polars as pl
import pyarrow as pa

from event_store.event_rules import EVENT_RULES, MAX_ID_BYTES, Rule, column_rules, time_rules
from ingestion import landed_tables
from storage import media_paths

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # no listening log is older; a timestamp of 0 is a missing value
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
MIN_TIME_US, MAX_TIME_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999, as in Python
DAY_US = 86_400_000_000
MAX_URL_BYTES = 2_000
MAX_UNPARSABLE_SHARE = 0.1
"""A log with a larger share of lines that are not rows of its format is an error: it is damaged or misread."""
MIN_UNPARSABLE_ROWS = 100
"""Fewer unparsable lines never make a log an error; they are only quarantined."""
MEDIA_COLUMNS = ("audio_path", "cover_path")
TYPED_NODE = r"^[a-z_]+:."
AUDIO_URL = (
    r"^(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~:/?#@!$&()*+,;=%-]*)?|[A-Za-z0-9_][A-Za-z0-9._~/%-]*)$"
)
"""An https URL, or a relative path without a scheme; other URLs must not reach the player."""

ISO_WITH_ZONE = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
SHORT_ASCII = f"^[ -~]{{0,{MAX_ID_BYTES}}}$"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
TYPE_DESCRIPTIONS = {
    pa.int64(): "a whole number",
    pa.int32(): "a whole number",
    pa.float64(): "a number",
    landed_tables.TIME: "a time (ISO 8601 or microseconds since 1970)",
    pa.date32(): "a date (YYYY-MM-DD)",
    pa.bool_(): "true or false",
    pa.string(): "text",
}
"""Types of the contract other than lists."""
Check = tuple[pl.Expr, pl.Expr]  # (row violates the rule, reason)


def conform(table: str, rows: pl.DataFrame, latest: datetime = LATEST) -> pl.DataFrame:
    """Convert rows to the types of the contract and add `reason`, which is null for rows that satisfy it.

    Missing columns become null; additional columns (line numbers, raw text) follow the contract's.

    Args:
        table: Contract table.
        rows: Rows in any types, optionally with `reason` of rows that are already rejected.
        latest: Events at or after this time are rejected.
    """
    schema = landed_tables.source_schema(table)
    names = set(schema.names)
    additional = [pl.col(name) for name in rows.columns if name not in names and name != "reason"]
    casts, checks = [], []
    for field in schema:
        value, cast_failed = _cast(rows, field, keeps_empty=table == "tracks" and field.nullable)
        casts.append(value.alias(field.name))
        if cast_failed is not None:
            checks.append((cast_failed, _cast_reason(field, rows.schema[field.name])))
    cast_reason = pl.coalesce([*(pl.when(failed).then(reason) for failed, reason in checks), pl.lit(None, pl.String)])
    earlier = [pl.col("reason")] if "reason" in rows.columns else []
    typed = rows.select(*casts, *additional, pl.coalesce([*earlier, cast_reason]).alias("reason"))
    of_columns = (rule for field in schema for rule in column_rules(landed_tables.limits_of(table, field)))
    reasons = (f"before {EARLIEST.year}", f"not before {latest:%Y-%m-%d %H:%M}")
    of_times = time_rules(*EVENT_TIMES[table], EARLIEST, latest, *reasons) if table in EVENT_TIMES else ()
    rules = [*_checks(of_columns), *TABLE_CHECKS.get(table, ()), *_checks(of_times)]
    first_reason = pl.coalesce([pl.col("reason"), *(pl.when(violated).then(reason) for violated, reason in rules)])
    return typed.with_columns(reason=first_reason)


def _cast(rows: pl.DataFrame, field: pa.Field, keeps_empty: bool) -> tuple[pl.Expr, pl.Expr | None]:
    """The column in the type of the contract, and whether a non-null value could not be converted.

    Empty text is null, or `keeps_empty`: it clears the value of another source.
    """
    target = pl.DataFrame(pa.schema([field]).empty_table()).schema[field.name]
    if field.name not in rows.columns:
        return pl.lit(None, target), None
    source, column = rows.schema[field.name], pl.col(field.name)
    if source == pl.Null or (source == target and not target.is_temporal()):
        return _clean(column.cast(target), field, keeps_empty), None
    if not _is_convertible(source, target):
        return pl.lit(None, target), column.is_not_null()
    if isinstance(target, pl.List):
        value = _clean(column.cast(target, strict=False), field)
    elif source.is_temporal():
        value = _time_of(column, source).cast(target)
    else:
        column = _strip(column.cast(pl.String))
        value = _parse(column, target)
    return value, value.is_null() & column.is_not_null()


def _clean(column: pl.Expr, field: pa.Field, keeps_empty: bool = False) -> pl.Expr:
    """Text that is stripped, and lists without empty text; names of files keep their spaces."""
    if field.type == landed_tables.STRINGS:
        return column.list.eval(_strip(pl.element())).list.drop_nulls()
    if field.type != pa.string() or field.name in MEDIA_COLUMNS:
        return column
    return column.str.strip_chars() if keeps_empty else _strip(column)


def _strip(text: pl.Expr) -> pl.Expr:
    """The text without surrounding white space; null if nothing is left."""
    text = text.str.strip_chars()
    return pl.when(text != "").then(text)


def _is_convertible(source: pl.DataType, target: pl.DataType) -> bool:
    """Whether values of a type may be converted at all."""
    if isinstance(target, pl.List):
        if not isinstance(source, pl.List | pl.Array):
            return False
        is_text = target.inner == pl.String
        return source.inner.is_numeric() or (is_text and source.inner == pl.String)
    if source.is_temporal():
        return isinstance(source, pl.Datetime | pl.Date) and target in (TIME, pl.Date)
    return source in (pl.String, pl.Boolean) or source.is_numeric()


def _cast_reason(field: pa.Field, source: pl.DataType) -> pl.Expr:
    description = TYPE_DESCRIPTIONS.get(field.type, "a list")
    if source.is_nested() or source == pl.Binary:
        return pl.lit(f"{field.name} is of type {source}, not {description}")
    if source.is_temporal():  # times that are out of range have no text
        return pl.format(f"{field.name} {{}} ({source}) is not {description}", pl.col(field.name).to_physical())
    return _reason(f"{field.name} {{{field.name}}} is not {description}")


def _parse(text: pl.Expr, target: pl.DataType) -> pl.Expr:
    """Values from text; null if it has none. A time is in ISO 8601 (UTC if it has no offset) or microseconds since 1970."""
    if target == pl.Boolean:
        return text.str.to_lowercase().replace_strict({"true": True, "false": False}, default=None, return_dtype=target)
    if target == pl.Date:
        return _time_of_micros(text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64) * DAY_US).cast(target)
    if target.is_integer():
        return text.str.strip_suffix(".0").cast(target, strict=False)  # whole numbers among fractions
    if target.is_float():
        value = text.cast(target, strict=False)
        return pl.when(value.is_finite()).then(value)
    if target == pl.String:
        return text
    iso = text.str.replace(" ", "T", literal=True).str.replace(r"[zZ]$", "+00:00")
    iso = pl.when(iso.str.contains(r"T.*[+-]\d\d:?\d\d$")).then(iso).otherwise(iso + "+00:00")
    microseconds = text.str.strip_suffix(".0").cast(pl.Int64, strict=False)
    times = (iso.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in ISO_WITH_ZONE)
    return _time_of_micros(pl.coalesce(microseconds, *(time.cast(pl.Int64) for time in times)))


def _time_of(column: pl.Expr, source: pl.DataType) -> pl.Expr:
    """UTC microseconds from a date, or from a datetime, which is UTC if it has no time zone."""
    ticks, unit = column.cast(pl.Int64), source.time_unit if isinstance(source, pl.Datetime) else "day"
    if unit == "ns":
        return _time_of_micros(ticks // 1_000)
    scale = {"day": DAY_US, "ms": 1_000, "us": 1}[unit]
    return _time_of_micros(pl.when(ticks.is_between(MIN_TIME_US // scale, MAX_TIME_US // scale)).then(ticks) * scale)


def _time_of_micros(microseconds: pl.Expr) -> pl.Expr:
    """Times; null outside of the years 1 to 9999, in which neither Polars nor Python can print a time."""
    # An expression with `when` would parse the text twice.
    return microseconds.map_batches(_times_in_range, return_dtype=TIME)


def _times_in_range(microseconds: pl.Series) -> pl.Series:
    is_in_range = microseconds.is_between(MIN_TIME_US, MAX_TIME_US)
    if not is_in_range.all():
        microseconds = microseconds.zip_with(
            is_in_range, pl.repeat(None, len(microseconds), dtype=pl.Int64, eager=True)
        )
    return microseconds.cast(TIME)


def _checks(rules: Iterable[Rule]) -> Iterator[Check]:
    """Rules of the contract as expressions."""
    for rule in rules:
        if rule.only != "reported":
            columns = [pl.col(name) for name in rule.columns]
            of_text = partial(_hold, rule.holds)
            holds = columns[0].map_batches(of_text, pl.Boolean) if rule.is_of_text else rule.holds(*columns)
            has_values = rule.takes_null or pl.all_horizontal(column.is_not_null() for column in columns)
            yield ~holds & has_values, _reason(rule.reason)


def _hold(holds: Callable[[str], bool], texts: pl.Series) -> pl.Series:
    """Whether texts satisfy a rule of Python, which short texts of ASCII do: the characters that Polars knows differ."""
    suspects = texts.filter(~texts.str.contains(SHORT_ASCII)).unique()
    return ~texts.is_in(pl.Series([text for text in suspects if not holds(text)], dtype=pl.String).implode())


def _media_path_checks(column: str) -> list[Check]:
    path = pl.col(column)
    is_reserved = path.str.contains(media_paths.WITH_ROOT) & ~path.str.contains(media_paths.EXTRACTED_COVER)
    reason = f"{column} {{{column}}} is not a path within the source: relative, without `..` and control characters"
    return [
        (
            path.str.len_bytes() > media_paths.MAX_PATH_BYTES,
            pl.lit(f"{column} is longer than {media_paths.MAX_PATH_BYTES} bytes"),
        ),
        ((path != "") & (path.str.contains(media_paths.NOT_WITHIN) | is_reserved), _reason(reason)),
    ]


EVENT_TIMES = {"listening_events": ("occurred_at", "ended_at"), "exposures": ("shown_at", "shown_at")}


def _reason(text: str) -> pl.Expr:
    """A reason in which each {column} is replaced by the value of a column, truncated to 80 characters."""
    values = [pl.col(column).cast(pl.String).str.head(80).fill_null("null") for column in PLACEHOLDER.findall(text)]
    return pl.format(PLACEHOLDER.sub("{}", text), *values)


TIME = pl.Datetime("us", "UTC")
AUDIO = pl.col("audio_url")
TABLE_CHECKS: dict[str, list[Check]] = {
    "listening_events": list(_checks(EVENT_RULES)),
    "tracks": [
        (
            (AUDIO != "") & ~AUDIO.str.contains(AUDIO_URL) | AUDIO.str.contains(r"(^|/)\.\.(/|$)"),
            _reason("audio_url {audio_url} is neither an https address nor a relative path"),
        ),
        *_media_path_checks("audio_path"),
        *_media_path_checks("cover_path"),
        (AUDIO.str.len_bytes() > MAX_URL_BYTES, pl.lit(f"audio_url is longer than {MAX_URL_BYTES} bytes")),
        (
            pl.col("available_until") <= pl.col("available_from"),
            _reason("available_until {available_until} is not after available_from {available_from}"),
        ),
    ],
    "knowledge_triples": [
        (~pl.col(node).str.contains(TYPED_NODE), _reason(f"{node} {{{node}}} is not of the form type:id"))
        for node in ("head", "tail")
    ],
}
"""Checks of several columns or of the texts of one, which the limits of a column do not express."""
