with

source as (

    select * from {{ landed("albums") }}

),

numbered as (

    select
        *,
        row_number() over (partition by album_id order by landed_at desc, filename desc) as place
    from source

),

renamed as (

    select
        album_id,
        title,
        coalesce(artist_ids, {{ list_of() }}) as artist_ids,
        released_on

    from numbered
    where place = 1

)

select * from renamed
