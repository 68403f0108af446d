with

events as (

    select * from {{ ref("stg_listening_events") }}

),

tracks as (

    select * from {{ ref("int_tracks_merged") }}

),

playlists as (

    select * from {{ ref("stg_playlists") }}

),

-- Also those that were included again, because plays before that stay left out.
excluded as (

    select distinct
        target_type,
        target_id
    from events
    where action = 'exclude' and target_type in ('album', 'playlist')

),

tracks_of_targets as (

    select
        'album' as target_type,
        album_id as target_id,
        track_id
    from tracks
    where album_id is not null

    union all

    select
        'playlist' as target_type,
        playlists.playlist_id as target_id,
        member.track_id
    from playlists
    {{ unnest_list("playlists.track_ids", "member", "track_id", "ordinal") }}

),

final as (

    select distinct
        tracks_of_targets.target_type,
        tracks_of_targets.target_id,
        tracks_of_targets.track_id
    from tracks_of_targets
    inner join excluded
        on
            tracks_of_targets.target_type = excluded.target_type
            and tracks_of_targets.target_id = excluded.target_id

)

select * from final
