with

source as (

    select * from {{ source("landing", "mlogs") }}

),

newest as (

    select *
    from source
    qualify row_number() over (partition by mlog_id order by landed_at desc, filename desc) = 1

),

renamed as (

    select
        mlog_id,
        title,
        coalesce(track_ids, []) as track_ids

    from newest

)

select * from renamed
