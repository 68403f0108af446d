with

source as (

    select * from {{ landed_relation("playlists") }}

),

numbered as (

    select
        *,
        row_number() over (partition by playlist_id order by landed_at desc, filename desc) as recency_rank
    from source

),

contents as (

    {{ canonical_lists("numbered", "playlist_id") }}

),

renamed as (

    select
        numbered.playlist_id,
        numbered.title,
        numbered.source,
        coalesce(contents.track_ids, {{ list_literal() }}) as track_ids

    from numbered
    left join contents on numbered.playlist_id = contents.playlist_id
    where numbered.recency_rank = 1

)

select * from renamed
