-- Each part reads the table by itself: what several parts read by one name is written down whole.
with

-- The same event may be landed twice, late or in two partitions. Few are, and only these are put in order.
repeated as (

    select event_id
    from {{ ref("stg_listening_events") }}
    where ended_at < {{ as_of() }}
    group by event_id
    having count(*) > 1

),

-- The earlier telling stands.
numbered as (

    select
        told.*,
        row_number() over (
            partition by told.event_id order by told.ended_at, told.sequence_number, told.landed_file
        ) as place
    from {{ ref("stg_listening_events") }} as told
    inner join repeated on told.event_id = repeated.event_id
    where told.ended_at < {{ as_of() }}

),

told_once as (

    select
        told.*,
        1 as place
    from {{ ref("stg_listening_events") }} as told
    left join repeated on told.event_id = repeated.event_id
    where told.ended_at < {{ as_of() }} and repeated.event_id is null

),

known as (

    select * from told_once

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
    where place = 1

)

select * from deduplicated
