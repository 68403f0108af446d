with

events as (

    select * from {{ ref("int_events_deduplicated") }}

),

impressions as (

    select * from {{ ref("int_impressions_resolved") }}

),

-- Being shown is not a behaviour. Leaving it alone is one, and it is known when its time is up.
behaved as (

    select
        event_id,
        user_id,
        sequence_number,
        target_type,
        target_id,
        occurred_at,
        ended_at,
        action,
        played_ms,
        scene,
        context_id,
        request_id,
        position,
        propensity,
        device
    from events
    where action <> 'impression'

    union all

    select
        event_id,
        user_id,
        sequence_number,
        target_type,
        target_id,
        occurred_at,
        outcome_at as ended_at,
        action,
        played_ms,
        scene,
        context_id,
        request_id,
        position,
        propensity,
        device
    from impressions
    where is_without_click

),

numbered as (

    select
        *,
        cast(row_number() over (partition by user_id order by ended_at, sequence_number, event_id) - 1 as bigint)
            as event_number
    from behaved

),

-- known_at is the end, lifted to at least 2 µs after the event before. Less 2 µs an event, that lift is a running
-- maximum; the odd microsecond between two events leaves room for a request. The same maximum up to the row before is
-- the event before: one pass tells both.
known as (

    select
        *,
        2 * event_number + max({{ micros("ended_at") }} - 2 * event_number) over (
            partition by user_id order by event_number rows unbounded preceding
        ) as known_us,
        2 * (event_number - 1) + max({{ micros("ended_at") }} - 2 * event_number) over (
            partition by user_id order by event_number rows between unbounded preceding and 1 preceding
        ) as previous_known_us
    from numbered

),

ordered as (

    select
        event_id,
        user_id,
        sequence_number,
        target_type,
        target_id,
        occurred_at,
        ended_at,
        action,
        played_ms,
        scene,
        context_id,
        request_id,
        position,
        propensity,
        device,
        event_number,
        {{ time_of("known_us") }} as known_at,
        {{ time_of("previous_known_us") }} as previous_known_at
    from known

)

select * from ordered
