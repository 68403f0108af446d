{% set columns = [
    "recording_id", "title", "album_id", "lyrics", "audio_url", "audio_path", "cover_path", "language", "duration_ms",
    "released_on", "artist_ids", "styles", "scenes", "emotions", "themes", "audio_vector", "image_vector"
] %}
{% set rights = ["available_from", "available_until", "territories", "is_explicit"] %}
{% set newest_rights = newest_row(["track_id"] + rights, "is_source_of_rights") %}

with

landed as (

    select * from {{ ref("stg_tracks") }}

),

aliases as (

    select * from {{ ref("int_track_aliases") }}

),

identified as (

    select
        {{ canonical_track("landed.track_id") }} as canonical_id,
        landed.*,
        landed.{{ rights | join(" is not null or landed.") }} is not null as has_rights
    from landed
    left join aliases on landed.track_id = aliases.alias_id

),

-- A source that has stated rights of a track before lifts them by a row without any.
with_rights as (

    select
        *,
        bool_or(has_rights) over (partition by canonical_id, source_rank) as is_source_of_rights
    from identified

),

merged as (

    select
        canonical_id as track_id,
        max(source_rank) >= '2' and max(source_rank) < '3' as is_from_music_folder,
        {{ for_each(columns, newest_value("NAME") ~ " as NAME") }},
        {{ for_each(rights, newest_rights ~ ".NAME as NAME") }}
    from with_rights
    group by canonical_id

),

final as (

    select
        track_id,
        nullif(recording_id, '') as recording_id,
        nullif(title, '') as title,
        coalesce(artist_ids, {{ list_literal() }}) as artist_ids,
        nullif(album_id, '') as album_id,
        duration_ms,
        released_on,
        available_from,
        available_until,
        coalesce(territories, {{ list_literal() }}) as territories,
        is_explicit,
        case when language <> '' then {{ list_literal(["language"]) }} else {{ list_literal() }} end as languages,
        coalesce(styles, {{ list_literal() }}) as styles,
        coalesce(scenes, {{ list_literal() }}) as scenes,
        coalesce(emotions, {{ list_literal() }}) as emotions,
        coalesce(themes, {{ list_literal() }}) as themes,
        nullif(lyrics, '') as lyrics,
        case when not {{ is_empty("audio_vector") }} then audio_vector end as audio_vector,
        case when not {{ is_empty("image_vector") }} then image_vector end as image_vector,
        nullif(audio_url, '') as audio_url,
        nullif(audio_path, '') as audio_path,
        nullif(cover_path, '') as cover_path,
        is_from_music_folder
    from merged

)

select * from final
