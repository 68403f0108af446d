with

events as (

    select * from {{ ref("events") }}

),

final as (

    select
        user_id,
        target_type,
        target_id,
        min(ended_at) as liked_at
    from events
    where behaviour = 'like'
    group by all

)

select * from final
