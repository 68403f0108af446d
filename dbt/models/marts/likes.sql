with

events as (

    select * from {{ ref("events") }}

),

-- A like counts until it is taken back.
last_unlikes as (

    select
        user_id,
        target_type,
        target_id,
        max(event_number) as event_number
    from events
    where behavior = 'unlike'
    group by all

),

final as (

    select
        events.user_id,
        events.target_type,
        events.target_id,
        min(events.ended_at) as liked_at
    from events
    left join last_unlikes
        on
            events.user_id = last_unlikes.user_id
            and events.target_type = last_unlikes.target_type
            and events.target_id = last_unlikes.target_id
    where
        events.behavior = 'like'
        and (last_unlikes.event_number is null or events.event_number > last_unlikes.event_number)
    group by all

)

select * from final
