{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "event_date"},
        pre_hook = "{{ delete_rows(is_computed_again('stale.user_id', 'stale.event_date')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}

-- Most users have few events on a day, so only the busiest user-days are counted by minute.
with

busy_days as (

    select
        landed.user_id,
        landed.ended_at::date as event_date
    from {{ ref("stg_listening_events") }} as landed
    {{ join_changed_users("landed.user_id", "landed.ended_at") }}
    where landed.ended_at < {{ as_of() }}
    group by landed.user_id, landed.ended_at::date
    having count(*) > least({{ var("bot_actions_per_minute") }}, {{ var("bot_events_per_day") }})

),

-- An event may be landed more than once.
busy_events as (

    select
        landed.user_id,
        busy_days.event_date,
        landed.event_id,
        max(case when landed.action <> 'impression' then 1 else 0 end) as is_action,
        min({{ integer_divide(epoch_micros("landed.ended_at"), minutes_us(1)) }}) as minute_number
    from {{ ref("stg_listening_events") }} as landed
    inner join busy_days on landed.user_id = busy_days.user_id and landed.ended_at::date = busy_days.event_date
    where landed.ended_at < {{ as_of() }}
    group by landed.user_id, busy_days.event_date, landed.event_id

),

minutes as (

    select
        user_id,
        event_date,
        count(*) as events,
        sum(is_action) as actions
    from busy_events
    group by user_id, event_date, minute_number

),

counted as (

    select
        user_id,
        event_date,
        sum(events)::bigint as events,
        max(actions)::bigint as most_actions_per_minute
    from minutes
    group by user_id, event_date

),

with_reasons as (

    select
        user_id,
        event_date,
        events,
        most_actions_per_minute,
        case
            when most_actions_per_minute > {{ var("bot_actions_per_minute") }} then 'actions_per_minute'
            when events > {{ var("bot_events_per_day") }} then 'events_per_day'
        end as reason
    from counted

)

select * from with_reasons
where reason is not null
