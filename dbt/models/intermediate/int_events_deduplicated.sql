with

events as (

    select * from {{ ref("stg_listening_events") }}

),

known as (

    select *
    from events
    where ended_at < {{ as_of() }}

),

-- The same event may be landed twice, late or in two partitions: the earlier telling stands.
numbered as (

    select
        *,
        row_number() over (partition by event_id order by ended_at, sequence_number, landed_file) as place
    from known

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
    from numbered
    where place = 1

)

select * from deduplicated
