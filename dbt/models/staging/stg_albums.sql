with

source as (

    select * from {{ source("landing", "albums") }}

),

newest as (

    select *
    from source
    qualify row_number() over (partition by album_id order by landed_at desc, filename desc) = 1

),

renamed as (

    select
        album_id,
        title,
        coalesce(artist_ids, []) as artist_ids,
        released_on

    from newest

)

select * from renamed
