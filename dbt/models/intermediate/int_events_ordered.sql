with

events as (

    select * from {{ ref("int_events_deduplicated") }}

),

impressions as (

    select * from {{ ref("int_impressions_resolved") }}

),

-- An impression is not a behavior. An impression without click is one, known at the end of its outcome window.
behaviour_events as (

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
    from behaviour_events

),

-- known_at is the end, shifted to at least 2 µs after the previous event, so that a request time fits between two
-- events. After subtracting 2 µs per event, this shift is a running maximum. The maximum up to the previous row gives
-- the known_at of the previous event in the same pass.
known as (

    select
        *,
        2 * event_number + max({{ epoch_micros("ended_at") }} - 2 * event_number) over (
            partition by user_id order by event_number rows unbounded preceding
        ) as known_us,
        2 * (event_number - 1) + max({{ epoch_micros("ended_at") }} - 2 * event_number) over (
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
        {{ timestamp_from_micros("known_us") }} as known_at,
        {{ timestamp_from_micros("previous_known_us") }} as previous_known_at
    from known

)

select * from ordered
