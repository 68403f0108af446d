{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "ended_at"},
        pre_hook = "{{ delete_rows(is_computed_again('stale.user_id', 'stale.ended_at')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}

-- Plays and event times each read the events, because a CTE that is used more than once is materialized.
with

plays as (

    select
        events.event_id,
        events.user_id,
        events.event_number,
        events.target_id as track_id,
        events.played_ms,
        events.ended_at,
        events.known_at,
        {{ epoch_micros("events.known_at") }} as known_us,
        {{ epoch_micros("events.ended_at") }} as ended_us,
        {{ epoch_micros("events.occurred_at") }} as occurred_us,
        {{ epoch_micros("events.ended_at") }}
        - {{ integer_divide("coalesce(events.played_ms, 0)", 1000) }} * 1000000 as start_us
    from {{ ref("int_events_ordered") }} as events
    {{ join_changed_users("events.user_id", "events.ended_at") }}
    where events.action = 'play' and events.target_type = 'track'

),

-- The last of a changed user's plays that stay.
kept as (

    {% if is_incremental() %}
    select
        earlier.user_id,
        max(earlier.play_number) + 1 as plays,
        max({{ epoch_micros("earlier.ended_at") }}) as ended_us,
        max({{ epoch_micros("earlier.known_at") }}) as known_us,
        max(earlier.session_number) as session_number
    from {{ this }} as earlier
    inner join {{ ref("int_changed_users") }} as changed on earlier.user_id = changed.user_id
    group by earlier.user_id
    {% else %}
    select
        cast(null as string) as user_id,
        cast(null as bigint) as plays,
        cast(null as bigint) as ended_us,
        cast(null as bigint) as known_us,
        cast(null as bigint) as session_number
    {% endif %}

),

with_previous as (

    select
        plays.*,
        coalesce(kept.session_number, 0) as kept_sessions,
        cast(
            row_number() over (partition by plays.user_id order by plays.event_number) - 1
            + coalesce(kept.plays, 0) as bigint
        ) as play_number,
        coalesce(
            lag(plays.ended_us) over (partition by plays.user_id order by plays.event_number), kept.ended_us
        ) as previous_ended_us,
        coalesce(
            lag(plays.known_us) over (partition by plays.user_id order by plays.event_number), kept.known_us
        ) as previous_known_us
    from plays
    left join kept on plays.user_id = kept.user_id

),

-- A play begins a session if it starts more than the gap after the end of the previous play, or lasts longer than a day
-- with its pauses (`sequences/sessions.py`).
-- Request time before adjustment: the end of the previous play if that was within clock_granularity_minutes,
-- otherwise the start rounded down to a multiple. A finer start would reveal the played duration, and so whether the
-- track was skipped.
earlier as (

    select
        *,
        coalesce(
            occurred_us - previous_ended_us > {{ minutes_us(var("session_gap_minutes")) }}
            or ended_us - occurred_us > {{ minutes_us(24 * 60) }},
            true
        ) as begins_session,
        least(occurred_us, case
            when start_us - previous_ended_us < {{ minutes_us(var("clock_granularity_minutes")) }}
                then previous_ended_us
            else
                {{ integer_divide("start_us", minutes_us(var("clock_granularity_minutes"))) }}
                * {{ minutes_us(var("clock_granularity_minutes")) }}
        end) as clock_us
    from with_previous

),

-- The request is after the previous play became known and before its own outcome did, and in the session of its play.
requested as (

    select
        *,
        least(
            greatest(
                clock_us,
                coalesce(previous_known_us + 1, clock_us),
                case
                    when begins_session and previous_ended_us is not null
                        then previous_ended_us + {{ minutes_us(var("session_gap_minutes")) }} + 1
                    else clock_us
                end
            ),
            known_us - 1
        ) as request_us
    from earlier

),

-- The request must differ from the known_at of all events. These are 2 µs apart, so adding 1 µs resolves a collision.
separated as (

    select
        requested.event_id,
        requested.user_id,
        requested.event_number,
        requested.play_number,
        requested.track_id,
        requested.played_ms,
        requested.ended_at,
        requested.known_at,
        requested.kept_sessions,
        requested.begins_session,
        requested.request_us + (events.event_id is not null)::bigint as request_us
    from requested
    left join {{ ref("int_events_ordered") }} as events
        on
            requested.user_id = events.user_id
            and {{ timestamp_from_micros("requested.request_us") }} = events.known_at

),

sessions_numbered as (

    select
        *,
        cast(kept_sessions + sum(begins_session::bigint) over (
            partition by user_id order by play_number rows unbounded preceding
        ) as bigint) as session_number
    from separated

),

final as (

    select
        event_id,
        user_id,
        event_number,
        play_number,
        track_id,
        played_ms,
        ended_at,
        known_at,
        {{ timestamp_from_micros("request_us") }} as request_at,
        session_number,
        user_id || '-' || session_number as session_id
    from sessions_numbered

)

select * from final
{{ order_by_time("ended_at") }}
