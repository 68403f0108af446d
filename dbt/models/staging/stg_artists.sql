with

source as (

    select * from {{ source("landing", "artists") }}

),

newest as (

    select *
    from source
    qualify row_number() over (partition by artist_id order by landed_at desc, filename desc) = 1

),

renamed as (

    select
        artist_id,
        name

    from newest

)

select * from renamed
