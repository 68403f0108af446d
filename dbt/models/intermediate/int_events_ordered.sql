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

with

events as (

    select deduplicated.*
    from {{ ref("int_events_deduplicated") }} as deduplicated
    {{ join_changed_users("deduplicated.user_id", "deduplicated.ended_at") }}

),

impressions as (

    select resolved.*
    from {{ ref("int_impressions_resolved") }} as resolved
    {{ join_changed_users("resolved.user_id", "resolved.outcome_at") }}

),

-- Where the rows of a changed user that stay end, see known_at below.
kept as (

    {% if is_incremental() %}
    select
        ordered.user_id,
        max(ordered.event_number) + 1 as events,
        max({{ epoch_micros("ordered.known_at") }} - 2 * ordered.event_number) as shifted_us
    from {{ this }} as ordered
    inner join {{ ref("int_changed_users") }} as changed on ordered.user_id = changed.user_id
    group by ordered.user_id
    {% else %}
    select
        cast(null as string) as user_id,
        cast(null as bigint) as events,
        cast(null as bigint) as shifted_us
    {% endif %}

),

-- An impression is not a behavior. An impression without click is one, known at the end of its outcome window.
behavior_events as (

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
        behavior_events.*,
        kept.shifted_us,
        cast(
            row_number() over (
                partition by behavior_events.user_id
                order by behavior_events.ended_at, behavior_events.sequence_number, behavior_events.event_id
            ) - 1 + coalesce(kept.events, 0) as bigint
        ) as event_number
    from behavior_events
    left join kept on behavior_events.user_id = kept.user_id

),

-- known_at is the end, shifted to at least 2 µs after the previous event, so that a request time fits between two
-- events. After subtracting 2 µs per event, this shift is a running maximum. The maximum up to the previous row gives
-- the known_at of the previous event in the same pass.
known as (

    select
        *,
        2 * event_number + greatest(max({{ epoch_micros("ended_at") }} - 2 * event_number) over (
            partition by user_id order by event_number rows unbounded preceding
        ), shifted_us) as known_us,
        2 * (event_number - 1) + greatest(max({{ epoch_micros("ended_at") }} - 2 * event_number) over (
            partition by user_id order by event_number rows between unbounded preceding and 1 preceding
        ), shifted_us) as previous_known_us
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
{{ order_by_time("ended_at") }}
