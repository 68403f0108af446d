with

impressions as (

    select
        *,
        case when target_type = 'track' then target_id end as track_id
    from {{ ref("int_impressions_resolved") }}

),

tracks as (

    select * from {{ ref("int_tracks_measured") }}

),

plays as (

    select * from {{ ref("int_plays_split") }}

),

cuts as (

    select * from {{ ref("int_cuts_chosen") }}

),

-- With a split by user time, a part starts at the request of its first play.
own_cuts as (

    select
        user_id,
        min(request_at) filter (where part = 'validation') as validation_from,
        min(request_at) filter (where part = 'test') as test_from
    from plays
    group by user_id

),

final as (

    select
        impressions.event_id,
        impressions.request_id,
        impressions.user_id,
        impressions.target_type,
        impressions.target_id,
        impressions.track_id,
        case when impressions.target_type = 'artist' then impressions.target_id else tracks.artist_id end as artist_id,
        impressions.position,
        impressions.propensity,
        impressions.scene,
        impressions.shown_at,
        impressions.is_clicked,
        impressions.is_played,
        {{ is_full_play("impressions.longest_played_ms", "tracks.duration_ms") }} as is_full_play,
        impressions.is_liked,
        case
            when impressions.shown_at >= if(cuts.split = 'user_time', own_cuts.test_from, cuts.test_from) then 'test'
            when
                impressions.shown_at >= if(cuts.split = 'user_time', own_cuts.validation_from, cuts.validation_from)
                then 'validation'
            else 'train'
        end as part

    from impressions
    cross join cuts
    left join own_cuts on impressions.user_id = own_cuts.user_id
    left join tracks on impressions.track_id = tracks.track_id

)

select * from final
