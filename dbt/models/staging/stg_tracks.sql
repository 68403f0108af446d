with

source as (

    select
        *,
        -- The greatest rank is preferred: an own catalog, a music server, folders of music, each for itself, then logs.
        case
            when format = 'own_events' then '3'
            when format = 'subsonic' then '2server'
            when format = 'music_folder' then '2' || coalesce(regexp_extract(audio_path, '^([0-9a-f]{16}):', 1), '')
            when format is not null then '1' || format
            else '0'
        end as source_rank
    from {{ landed_relation("tracks") }}

),

renamed as (

    select
        track_id,
        source_rank,
        {{ to_naive_utc("coalesce(source_at, landed_at)") }} as source_at,
        {{ stated("recording_id") }} as recording_id,
        {{ stated("title") }} as title,
        {{ stated_list("artist_ids") }} as artist_ids,
        {{ stated("album_id") }} as album_id,
        duration_ms,
        released_on,
        {{ to_naive_utc("available_from") }} as available_from,
        {{ to_naive_utc("available_until") }} as available_until,
        territories,
        is_explicit,
        {{ stated("language") }} as language,
        {{ stated_list("styles") }} as styles,
        {{ stated_list("scenes") }} as scenes,
        {{ stated_list("emotions") }} as emotions,
        {{ stated_list("themes") }} as themes,
        {{ stated("lyrics") }} as lyrics,
        {{ stated_list("audio_vector") }} as audio_vector,
        {{ stated_list("image_vector") }} as image_vector,
        {{ stated("audio_url") }} as audio_url,
        {{ stated("audio_path") }} as audio_path,
        {{ stated("cover_path") }} as cover_path

    from source

)

select * from renamed
