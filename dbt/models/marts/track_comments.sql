with

comments as (

    select * from {{ ref("stg_track_comments") }}

),

-- A comment without a time may be of any time: it counts as known.
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
