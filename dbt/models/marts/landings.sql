with

landings as (

    select * from {{ ref("stg_landings") }}

),

-- The file name is excluded, because a personal export may be named after its user.
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
