with

source as (

    select * from {{ landed_relation("track_comments") }}

),

numbered as (

    select
        *,
        row_number() over (partition by comment_id order by landed_at desc, filename desc) as recency_rank
    from source

),

renamed as (

    select
        comment_id,
        track_id,
        text,
        {{ to_naive_utc("occurred_at") }} as occurred_at

    from numbered
    where recency_rank = 1

)

select * from renamed
