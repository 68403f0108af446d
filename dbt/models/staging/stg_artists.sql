with

source as (

    select * from {{ landed_relation("artists") }}

),

numbered as (

    select
        *,
        row_number() over (
            partition by artist_id order by coalesce(source_at, landed_at) desc, format desc, name desc
        ) as recency_rank
    from source

),

renamed as (

    select
        artist_id,
        name

    from numbered
    where recency_rank = 1

)

select * from renamed
