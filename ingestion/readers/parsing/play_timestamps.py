"""Queries that derive the missing start or end timestamp of plays, their order within the user and their event ids.

They read the table `staged` of `NamedPlays`, whose `time_us` is the logged time, and return contract rows of `listening_events`
ordered by month, user and sequence number.
"""

from __future__ import annotations

from config.tool_environment import load_dbt_variables

MAX_SCROBBLE_MS, MIN_SCROBBLE_MS = 240_000, 30_000
"""Limits of the assumed duration of a play whose source does not log one."""

END_EVENTS_QUERY = """
with ordered as (
    select
        *,
        row_number() over (partition by user_id order by time_us, row_number) - 1 as sequence_number,
        lag(time_us) over (partition by user_id, action order by time_us, row_number) as previous_end_us,
        time_us - coalesce(played_ms, 0) // 1000 * 1000000 as start_us,
        if(action = 'play', played_ms::varchar, action) as what,
        if(
            action = 'play',
            row_number() over (partition by user_id, time_us, track_id, what order by row_number),
            null
        ) as copy_number
    from staged
)
select
    md5(concat_ws('|', user_id, time_us, track_id, what, copy_number)) as event_id,
    user_id,
    sequence_number,
    'track' as target_type,
    track_id as target_id,
    case
        when action != 'play' then time_us
        when start_us - previous_end_us < {granularity_us} then previous_end_us
        else start_us // {granularity_us} * {granularity_us}
    end as occurred_at,
    time_us as ended_at,
    action,
    played_ms,
    source_file,
    source_line
from ordered
order by date_trunc('month', make_timestamp(time_us)), user_id, sequence_number
"""
"""Of plays of which the source logs only the end.

A start computed as end minus played duration reveals the duration, and so whether the track was skipped (label leakage).
`occurred_at` is therefore the end of the user's previous play if that was less than `clock_granularity_minutes` earlier,
otherwise the start rounded down to a multiple of that granularity. (dbt later moves it after the time at which the previous
play became known.)
"""

START_EVENTS_QUERY = f"""
with ordered as (
    select
        *,
        lead(time_us) over (partition by user_id, action order by time_us, row_number) as next_time_us,
        row_number() over (partition by user_id order by time_us, row_number) - 1 as sequence_number,
        row_number() over (partition by user_id, time_us, track_id, action order by row_number) as copy_number
    from staged
), with_durations as (
    select
        *,
        case when action = 'play' then coalesce(
            played_ms,
            greatest(
                {MIN_SCROBBLE_MS},
                least({MAX_SCROBBLE_MS}, coalesce((next_time_us - time_us) // 1000, {MAX_SCROBBLE_MS}))
            )
        ) end as duration_ms
    from ordered
)
select
    md5(concat_ws('|', user_id, time_us, track_id, action, copy_number)) as event_id,
    user_id,
    sequence_number,
    'track' as target_type,
    track_id as target_id,
    time_us as occurred_at,
    time_us + coalesce(duration_ms, 0) * 1000 as ended_at,
    action,
    duration_ms as played_ms,
    source_file,
    source_line
from with_durations
order by date_trunc('month', make_timestamp(time_us)), user_id, sequence_number
"""  # noqa: S608 - the only values inserted are the constants above
"""Of plays of which the source logs the start.

A play ends after its logged duration if there is one. Scrobbles have none: a scrobble only says that the track was played for
half its length or four minutes. Its play is assumed to end when the user's next play starts, but after 30 seconds at the
earliest (a shorter play would count as a skip) and after four minutes at the latest (also before a break and for the user's
last play).
"""


def clock_granularity_us() -> int:
    """Granularity of derived start timestamps in microseconds: dbt's `clock_granularity_minutes`."""
    return int(str(load_dbt_variables()["clock_granularity_minutes"])) * 60 * 1_000_000
