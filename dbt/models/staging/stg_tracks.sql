with

source as (

    select * from {{ landed("tracks") }}

),

numbered as (

    select
        *,
        row_number() over (partition by track_id order by landed_at desc, filename desc) as place
    from source

),

renamed as (

    select
        track_id,
        recording_id,
        title,
        coalesce(artist_ids, {{ list_of() }}) as artist_ids,
        album_id,
        duration_ms,
        released_on,
        {{ utc("available_from") }} as available_from,
        {{ utc("available_until") }} as available_until,
        coalesce(territories, {{ list_of() }}) as territories,
        is_explicit,
        case when language is null then {{ list_of() }} else {{ list_of(["language"]) }} end as languages,
        coalesce(styles, {{ list_of() }}) as styles,
        coalesce(scenes, {{ list_of() }}) as scenes,
        coalesce(emotions, {{ list_of() }}) as emotions,
        coalesce(themes, {{ list_of() }}) as themes,
        lyrics,
        audio_vector,
        image_vector,
        audio_url

    from numbered
    where place = 1

)

select * from renamed
