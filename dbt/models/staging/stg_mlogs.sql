with

source as (

    select * from {{ landed_relation("mlogs") }}

),

numbered as (

    select
        *,
        row_number() over (partition by mlog_id order by landed_at desc, filename desc) as recency_rank
    from source

),

renamed as (

    select
        mlog_id,
        title,
        coalesce(track_ids, {{ list_literal() }}) as track_ids

    from numbered
    where recency_rank = 1

)

select * from renamed
