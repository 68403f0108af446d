{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "shown_at"},
        pre_hook = "{{ delete_rows(is_computed_again('stale.user_id', 'stale.shown_at + interval ' ~ var('impression_outcome_minutes') ~ ' minute', 'stale.track_id', 'stale.shown_at')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}
-- depends_on: {{ ref("int_changed_tracks") }}
-- depends_on: {{ ref("int_time_split_chosen") }}

with

impressions as (

    select
        resolved.*,
        case when resolved.target_type = 'track' then resolved.target_id end as track_id
    from {{ ref("int_impressions_resolved") }} as resolved
    where {{ is_computed_again(
        "resolved.user_id",
        "resolved.outcome_at",
        "case when resolved.target_type = 'track' then resolved.target_id end",
        "resolved.shown_at"
    ) }}

),

tracks as (

    select * from {{ ref("int_track_durations") }}

),

plays as (

    select * from {{ ref("int_plays_split") }}

),

time_split as (

    select * from {{ ref("int_time_split_chosen") }}

),

-- With a split by user time, a part starts at the request of its first play.
own_parts as (

    select
        plays.user_id,
        min(plays.request_at) filter (where plays.part = 'validation') as validation_from,
        min(plays.request_at) filter (where plays.part = 'test') as test_from
    from plays
    cross join time_split
    where time_split.split = 'user_time'
    group by plays.user_id

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
            when
                impressions.shown_at >= if(time_split.split = 'user_time', own_parts.test_from, time_split.test_from)
                then 'test'
            when
                impressions.shown_at
                >= if(time_split.split = 'user_time', own_parts.validation_from, time_split.validation_from)
                then 'validation'
            else 'train'
        end as part

    from impressions
    cross join time_split
    left join own_parts on impressions.user_id = own_parts.user_id
    left join tracks on impressions.track_id = tracks.track_id

)

select * from final
{{ order_by_time("shown_at") }}
