with

source as (

    select * from {{ source("landing", "landings") }}

),

newest as (

    select *
    from source
    qualify row_number() over (partition by landing_id, format order by landed_at desc, filename desc) = 1

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

    from newest

)

select * from renamed
