-- Plays and event times each read the events, because a CTE that is used more than once is materialized.
with

plays as (

    select
        event_id,
        user_id,
        event_number,
        target_id as track_id,
        played_ms,
        known_at,
        {{ epoch_micros("known_at") }} as known_us,
        {{ epoch_micros("ended_at") }} as ended_us,
        {{ epoch_micros("ended_at") }} - {{ integer_divide("coalesce(played_ms, 0)", 1000) }} * 1000000 as start_us
    from {{ ref("int_events_ordered") }}
    where action = 'play' and target_type = 'track'

),

with_previous as (

    select
        *,
        cast(row_number() over (partition by user_id order by event_number) - 1 as bigint) as play_number,
        lag(ended_us) over (partition by user_id order by event_number) as previous_ended_us,
        lag(known_us) over (partition by user_id order by event_number) as previous_known_us
    from plays

),

-- Request time before adjustment: the end of the previous play if that was within clock_granularity_minutes,
-- otherwise the start rounded down to a multiple. A finer start would reveal the played duration, and so whether the
-- track was skipped.
clocked as (

    select
        *,
        case
            when start_us - previous_ended_us < {{ minutes_us(var("clock_granularity_minutes")) }}
                then previous_ended_us
            else
                {{ integer_divide("start_us", minutes_us(var("clock_granularity_minutes"))) }}
                * {{ minutes_us(var("clock_granularity_minutes")) }}
        end as clock_us
    from with_previous

),

-- The request is after the previous play became known and before its own outcome did.
requested as (

    select
        *,
        least(greatest(clock_us, coalesce(previous_known_us + 1, clock_us)), known_us - 1) as request_us
    from clocked

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
        requested.known_at,
        requested.previous_known_us,
        requested.request_us + (events.event_id is not null)::bigint as request_us
    from requested
    left join {{ ref("int_events_ordered") }} as events
        on
            requested.user_id = events.user_id
            and {{ timestamp_from_micros("requested.request_us") }} = events.known_at

),

session_starts as (

    select
        *,
        coalesce(request_us - previous_known_us > {{ minutes_us(var("session_gap_minutes")) }}, true) as begins_session
    from separated

),

sessions_numbered as (

    select
        *,
        sum(begins_session::bigint) over (
            partition by user_id order by play_number rows unbounded preceding
        ) as session_number
    from session_starts

),

final as (

    select
        event_id,
        user_id,
        event_number,
        play_number,
        track_id,
        played_ms,
        known_at,
        {{ timestamp_from_micros("request_us") }} as request_at,
        user_id || '-' || session_number::bigint as session_id
    from sessions_numbered

)

select * from final
