with

measured as (

    select * from {{ ref("int_tracks_measured") }}

),

tracks as (

    select * from {{ ref("stg_tracks") }}

),

artists as (

    select * from {{ ref("stg_artists") }}

),

plays as (

    select * from {{ ref("int_plays_split") }}

),

cuts as (

    select * from {{ ref("int_cuts_chosen") }}

),

performers as (

    select
        tracks.track_id,
        billed.artist_id,
        billed.billing
    from tracks
    {{ each_of("tracks.artist_ids", "billed", "artist_id", "billing") }}

),

named as (

    select
        performers.track_id,
        {{ list_ordered("coalesce(artists.name, '')", "performers.billing") }} as artist_names
    from performers
    left join artists on performers.artist_id = artists.artist_id
    group by performers.track_id

),

-- A catalogue made of the whole log would leak its future.
heard as (

    select distinct track_id
    from plays
    where part <> 'test'

),

final as (

    select
        measured.track_id,
        tracks.recording_id,
        tracks.title,
        coalesce(tracks.artist_ids, {{ list_of() }}) as artist_ids,
        measured.artist_id,
        coalesce(named.artist_names, {{ list_of() }}) as artist_names,
        tracks.album_id,
        measured.duration_ms,
        measured.is_duration_estimated,
        tracks.is_explicit,
        tracks.available_from,
        tracks.available_until,
        coalesce(tracks.territories, {{ list_of() }}) as territories,
        tracks.released_on,
        coalesce(tracks.languages, {{ list_of() }}) as languages,
        coalesce(tracks.styles, {{ list_of() }}) as styles,
        coalesce(tracks.scenes, {{ list_of() }}) as scenes,
        coalesce(tracks.emotions, {{ list_of() }}) as emotions,
        coalesce(tracks.themes, {{ list_of() }}) as themes,
        tracks.lyrics,
        tracks.audio_vector,
        tracks.image_vector,
        tracks.audio_url,
        heard.track_id is not null
        or coalesce(least(tracks.available_from, tracks.released_on::timestamp) < cuts.test_from, false)
            as is_in_catalogue

    from measured
    cross join cuts
    left join tracks on measured.track_id = tracks.track_id
    left join named on measured.track_id = named.track_id
    left join heard on measured.track_id = heard.track_id

)

select * from final
