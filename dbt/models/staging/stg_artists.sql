with

source as (

    select * from {{ landed("artists") }}

),

numbered as (

    select
        *,
        row_number() over (partition by artist_id order by landed_at desc, filename desc) as place
    from source

),

renamed as (

    select
        artist_id,
        name

    from numbered
    where place = 1

)

select * from renamed
