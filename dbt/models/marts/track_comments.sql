with

comments as (

    select * from {{ ref("stg_track_comments") }}

),

-- Comments without a time are included.
final as (

    select
        comment_id,
        track_id,
        text,
        occurred_at
    from comments
    where coalesce(occurred_at < {{ as_of() }}, true)

)

select * from final
