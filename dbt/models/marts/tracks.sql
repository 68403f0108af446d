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
        track_id,
        unnest(artist_ids) as artist_id,
        generate_subscripts(artist_ids, 1) as billing
    from tracks

),

named as (

    select
        performers.track_id,
        list(coalesce(artists.name, '') order by performers.billing) as artist_names
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
        coalesce(tracks.artist_ids, []) as artist_ids,
        measured.artist_id,
        coalesce(named.artist_names, []) as artist_names,
        tracks.album_id,
        measured.duration_ms,
        measured.is_duration_estimated,
        tracks.is_explicit,
        tracks.available_from,
        tracks.available_until,
        coalesce(tracks.territories, []) as territories,
        tracks.released_on,
        coalesce(tracks.languages, []) as languages,
        coalesce(tracks.styles, []) as styles,
        coalesce(tracks.scenes, []) as scenes,
        coalesce(tracks.emotions, []) as emotions,
        coalesce(tracks.themes, []) as themes,
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
