with

source as (

    select * from {{ landed("landings") }}

),

numbered as (

    select
        *,
        row_number() over (partition by landing_id, format order by landed_at desc, filename desc) as place
    from source

),

renamed as (

    select
        landing_id,
        source,
        format,
        split,
        landed,
        quarantined,
        {{ utc("landed_at") }} as landed_at

    from numbered
    where place = 1

)

select * from renamed
