with

events as (

    select * from {{ ref("int_events_ordered") }}

),

plays as (

    select * from {{ ref("int_plays_sessionized") }}

),

tracks_of_targets as (

    select * from {{ ref("int_excluded_target_tracks") }}

),

-- From an exclude on, until the next event on the same target.
exclusions as (

    select
        user_id,
        target_type,
        target_id,
        action,
        known_at as excluded_from,
        lead(known_at) over (partition by user_id, target_type, target_id order by event_number) as excluded_until
    from events
    where action in ('exclude', 'unexclude') and target_type in ('album', 'playlist')

),

excluded_tracks as (

    select
        exclusions.user_id,
        exclusions.excluded_from,
        exclusions.excluded_until,
        tracks_of_targets.track_id
    from exclusions
    inner join tracks_of_targets
        on
            exclusions.target_type = tracks_of_targets.target_type
            and exclusions.target_id = tracks_of_targets.target_id
    where exclusions.action = 'exclude'

),

final as (

    select distinct plays.event_id
    from plays
    inner join excluded_tracks
        on
            plays.user_id = excluded_tracks.user_id
            and plays.track_id = excluded_tracks.track_id
            and plays.known_at > excluded_tracks.excluded_from
            and (excluded_tracks.excluded_until is null or plays.known_at < excluded_tracks.excluded_until)

)

select * from final
