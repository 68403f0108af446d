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
        event_store,
        event_seq,
        landed_at
    from landings

)

select * from final
