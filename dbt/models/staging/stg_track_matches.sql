with

source as (

    select * from {{ landed_relation("track_matches") }}

),

numbered as (

    select
        *,
        row_number() over (partition by track_id order by landed_at desc, filename desc) as recency_rank
    from source

),

renamed as (

    select
        track_id,
        same_as_id
    from numbered
    where recency_rank = 1 and same_as_id is not null

)

select * from renamed
