with

source as (

    select * from {{ landed_relation("landings") }}

),

numbered as (

    select
        *,
        row_number() over (partition by landing_id, format order by landed_at desc, filename desc) as recency_rank
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
        event_store,
        event_seq,
        {{ to_naive_utc("landed_at") }} as landed_at

    from numbered
    where recency_rank = 1

)

select * from renamed
