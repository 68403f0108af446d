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

-- Each CTE reads the table itself, because a CTE that is used more than once is materialized.
with

-- Only used in an incremental build.
changed_events as (

    select landed.event_id
    from {{ ref("stg_listening_events") }} as landed
    {{ join_changed_users("landed.user_id", "landed.ended_at") }}

),

-- An event may be landed more than once, late or in two partitions. Only these few events are sorted.
repeated as (

    select event_id
    from {{ ref("stg_listening_events") }}
    where
        ended_at < {{ as_of() }}
        and {{ "event_id in (select event_id from changed_events)" if is_incremental() else "true" }}
    group by event_id
    having count(*) > 1

),

-- Keep the earliest copy. In an incremental build it may be an older one, whose row stays.
copies as (

    select
        landed.*,
        row_number() over (
            partition by landed.event_id order by landed.ended_at, landed.sequence_number, landed.landed_file
        ) as copy_number
    from {{ ref("stg_listening_events") }} as landed
    inner join repeated on landed.event_id = repeated.event_id
    where landed.ended_at < {{ as_of() }}

),

numbered as (

    select copies.*
    from copies
    {{ join_changed_users("copies.user_id", "copies.ended_at") }}

),

single_copies as (

    select
        landed.*,
        1 as copy_number
    from {{ ref("stg_listening_events") }} as landed
    left join repeated on landed.event_id = repeated.event_id
    {{ join_changed_users("landed.user_id", "landed.ended_at") }}
    where landed.ended_at < {{ as_of() }} and repeated.event_id is null

),

known as (

    select * from single_copies

    union all

    select * from numbered

),

excluded as (

    select * from {{ ref("int_excluded_user_days") }}

),

aliases as (

    select * from {{ ref("int_track_aliases") }}

),

deduplicated as (

    select
        known.event_id,
        known.user_id,
        known.sequence_number,
        known.target_type,
        {{ canonical_track("known.target_id") }} as target_id,
        known.occurred_at,
        known.ended_at,
        known.action,
        known.played_ms,
        known.scene,
        known.context_id,
        known.request_id,
        known.position,
        known.propensity,
        known.device,
        known.landed_file
    from known
    left join excluded on known.user_id = excluded.user_id and known.ended_at::date = excluded.event_date
    left join aliases on known.target_type = 'track' and known.target_id = aliases.alias_id
    where known.copy_number = 1 and excluded.user_id is null

)

select * from deduplicated
