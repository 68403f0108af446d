with

source as (

    select * from {{ landed_relation("track_comments") }}

),

aliases as (

    select * from {{ ref("int_track_aliases") }}

),

numbered as (

    select
        *,
        row_number() over (partition by comment_id order by landed_at desc, filename desc) as recency_rank
    from source

),

renamed as (

    select
        numbered.comment_id,
        {{ canonical_track("numbered.track_id") }} as track_id,
        numbered.text,
        {{ to_naive_utc("numbered.occurred_at") }} as occurred_at

    from numbered
    left join aliases on numbered.track_id = aliases.alias_id
    where numbered.recency_rank = 1

)

select * from renamed
