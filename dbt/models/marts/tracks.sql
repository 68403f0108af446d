with

measured as (

    select * from {{ ref("int_track_durations") }}

),

tracks as (

    select * from {{ ref("int_tracks_merged") }}

),

artists as (

    select * from {{ ref("stg_artists") }}

),

plays as (

    select * from {{ ref("int_plays_split") }}

),

time_split as (

    select * from {{ ref("int_time_split_chosen") }}

),

performers as (

    select
        tracks.track_id,
        performer.artist_id,
        performer.ordinal
    from tracks
    {{ unnest_list("tracks.artist_ids", "performer", "artist_id", "ordinal") }}

),

named as (

    select
        performers.track_id,
        {{ ordered_list_agg("coalesce(artists.name, '')", "performers.ordinal") }} as artist_names
    from performers
    left join artists on performers.artist_id = artists.artist_id
    group by performers.track_id

),

-- Catalog membership must not depend on plays of the test part (leakage).
played as (

    select distinct track_id
    from plays
    where part <> 'test'

),

final as (

    select
        measured.track_id,
        tracks.recording_id,
        tracks.title,
        coalesce(tracks.artist_ids, {{ list_literal() }}) as artist_ids,
        measured.artist_id,
        coalesce(named.artist_names, {{ list_literal() }}) as artist_names,
        tracks.album_id,
        measured.duration_ms,
        measured.is_duration_estimated,
        tracks.is_explicit,
        tracks.available_from,
        tracks.available_until,
        coalesce(tracks.territories, {{ list_literal() }}) as territories,
        tracks.released_on,
        coalesce(tracks.languages, {{ list_literal() }}) as languages,
        coalesce(tracks.styles, {{ list_literal() }}) as styles,
        coalesce(tracks.scenes, {{ list_literal() }}) as scenes,
        coalesce(tracks.emotions, {{ list_literal() }}) as emotions,
        coalesce(tracks.themes, {{ list_literal() }}) as themes,
        tracks.lyrics,
        tracks.audio_vector,
        tracks.image_vector,
        tracks.audio_url,
        tracks.audio_path,
        tracks.cover_path,
        coalesce(tracks.is_from_music_folder, false) as is_from_music_folder,
        played.track_id is not null
        or coalesce(
            least(tracks.available_from, tracks.released_on::timestamp) < time_split.test_from,
            tracks.audio_path is not null
        ) as is_in_catalog

    from measured
    cross join time_split
    left join tracks on measured.track_id = tracks.track_id
    left join named on measured.track_id = named.track_id
    left join played on measured.track_id = played.track_id

)

select * from final
