-- Plays and all events' moments each read the events by themselves: what both read by one name is written down whole.
with

plays as (

    select
        event_id,
        user_id,
        event_number,
        target_id as track_id,
        played_ms,
        known_at,
        {{ micros("known_at") }} as known_us,
        {{ micros("ended_at") }} as ended_us,
        {{ micros("ended_at") }} - {{ quotient("coalesce(played_ms, 0)", 1000) }} * 1000000 as began_us
    from {{ ref("int_events_ordered") }}
    where action = 'play' and target_type = 'track'

),

followed as (

    select
        *,
        cast(row_number() over (partition by user_id order by event_number) - 1 as bigint) as play_number,
        lag(ended_us) over (partition by user_id order by event_number) as previous_ended_us,
        lag(known_us) over (partition by user_id order by event_number) as previous_known_us
    from plays

),

-- What an honest clock knew when the play began: the end of the play before within a sitting, else the start
-- floored to a whole sitting. A finer start would give the length, and so the skip, away.
clocked as (

    select
        *,
        case
            when began_us - previous_ended_us < {{ minutes_us(var("clock_granularity_minutes")) }} then previous_ended_us
            else
                {{ quotient("began_us", minutes_us(var("clock_granularity_minutes"))) }}
                * {{ minutes_us(var("clock_granularity_minutes")) }}
        end as clock_us
    from followed

),

-- The request comes after the play before became known and before its own outcome does.
requested as (

    select
        *,
        least(greatest(clock_us, coalesce(previous_known_us + 1, clock_us)), known_us - 1) as request_us
    from clocked

),

-- Nor may it fall on another event's known_at: one microsecond later it does not, since those are 2 µs apart.
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
            and {{ time_of("requested.request_us") }} = events.known_at

),

sessions_begun as (

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
    from sessions_begun

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
        {{ time_of("request_us") }} as request_at,
        user_id || '-' || session_number::bigint as session_id
    from sessions_numbered

)

select * from final
