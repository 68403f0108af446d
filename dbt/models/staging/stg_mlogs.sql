with

source as (

    select * from {{ landed_relation("mlogs") }}

),

numbered as (

    select
        *,
        row_number() over (partition by mlog_id order by landed_at desc, filename desc) as recency_rank
    from source

),

contents as (

    {{ canonical_lists("numbered", "mlog_id") }}

),

renamed as (

    select
        numbered.mlog_id,
        numbered.title,
        coalesce(contents.track_ids, {{ list_literal() }}) as track_ids

    from numbered
    left join contents on numbered.mlog_id = contents.mlog_id
    where numbered.recency_rank = 1

)

select * from renamed
