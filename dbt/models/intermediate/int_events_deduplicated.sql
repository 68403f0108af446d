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
deduplicated as (

    select * exclude (landed_file)
    from known
    qualify row_number() over (partition by event_id order by ended_at, sequence_number, landed_file) = 1

)

select * from deduplicated
