with

plays as (

    select * from {{ ref("plays") }}

),

final as (

    select
        session_id,
        any_value(user_id) as user_id,
        min(request_at) as started_at,
        max(ended_at) as ended_at,
        count(*) as plays,
        min(play_number) as first_play_number,
        min_by(part, play_number) as part
    from plays
    group by session_id

)

select * from final
