with

source as (

    select * from {{ landed_relation("albums") }}

),

numbered as (

    select
        *,
        row_number() over (
            partition by album_id
            order by coalesce(source_at, landed_at) desc, format desc, title desc, released_on desc, artist_ids desc
        ) as recency_rank
    from source

),

renamed as (

    select
        album_id,
        title,
        coalesce(artist_ids, {{ list_literal() }}) as artist_ids,
        released_on

    from numbered
    where recency_rank = 1

)

select * from renamed
