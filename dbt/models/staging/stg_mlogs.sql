with

source as (

    select * from {{ landed("mlogs") }}

),

numbered as (

    select
        *,
        row_number() over (partition by mlog_id order by landed_at desc, filename desc) as place
    from source

),

renamed as (

    select
        mlog_id,
        title,
        coalesce(track_ids, {{ list_of() }}) as track_ids

    from numbered
    where place = 1

)

select * from renamed
