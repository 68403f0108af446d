with

source as (

    select * from {{ landed("playlists") }}

),

numbered as (

    select
        *,
        row_number() over (partition by playlist_id order by landed_at desc, filename desc) as place
    from source

),

renamed as (

    select
        playlist_id,
        title,
        source,
        coalesce(track_ids, {{ list_of() }}) as track_ids

    from numbered
    where place = 1

)

select * from renamed
