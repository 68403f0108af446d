with

matched as (

    select * from {{ ref("int_tracks_matched") }}

),

final as (

    select
        alias_id as track_id,
        track_id as other_id,
        conflict
    from matched
    where conflict is not null

)

select * from final
