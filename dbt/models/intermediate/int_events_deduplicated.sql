-- Each CTE reads the table itself, because a CTE that is used more than once is materialized.
with

-- An event may be landed more than once, late or in two partitions. Only these few events are sorted.
repeated as (

    select event_id
    from {{ ref("stg_listening_events") }}
    where ended_at < {{ as_of() }}
    group by event_id
    having count(*) > 1

),

-- Keep the earliest copy.
numbered as (

    select
        landed.*,
        row_number() over (
            partition by landed.event_id order by landed.ended_at, landed.sequence_number, landed.landed_file
        ) as copy_number
    from {{ ref("stg_listening_events") }} as landed
    inner join repeated on landed.event_id = repeated.event_id
    where landed.ended_at < {{ as_of() }}

),

single_copies as (

    select
        landed.*,
        1 as copy_number
    from {{ ref("stg_listening_events") }} as landed
    left join repeated on landed.event_id = repeated.event_id
    where landed.ended_at < {{ as_of() }} and repeated.event_id is null

),

known as (

    select * from single_copies

    union all

    select * from numbered

),

deduplicated as (

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
    from known
    where copy_number = 1

)

select * from deduplicated
