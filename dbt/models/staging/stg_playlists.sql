with

source as (

    select * from {{ source("landing", "playlists") }}

),

newest as (

    select *
    from source
    qualify row_number() over (partition by playlist_id order by landed_at desc, filename desc) = 1

),

renamed as (

    select
        playlist_id,
        title,
        source,
        coalesce(track_ids, []) as track_ids

    from newest

)

select * from renamed
