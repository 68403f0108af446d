with

landings as (

    select * from {{ ref("stg_landings") }}

),

-- Not the name of the file: a personal export may be called by its listener.
final as (

    select
        landing_id,
        format,
        split,
        landed,
        quarantined,
        landed_at
    from landings

)

select * from final
