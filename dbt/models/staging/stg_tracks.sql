with

source as (

    select * from {{ source("landing", "tracks") }}

),

newest as (

    select *
    from source
    qualify row_number() over (partition by track_id order by landed_at desc, filename desc) = 1

),

renamed as (

    select
        track_id,
        recording_id,
        title,
        coalesce(artist_ids, []) as artist_ids,
        album_id,
        duration_ms,
        released_on,
        {{ utc("available_from") }} as available_from,
        {{ utc("available_until") }} as available_until,
        coalesce(territories, []) as territories,
        is_explicit,
        case when language is null then [] else [language] end as languages,
        coalesce(styles, []) as styles,
        coalesce(scenes, []) as scenes,
        coalesce(emotions, []) as emotions,
        coalesce(themes, []) as themes,
        lyrics,
        audio_vector,
        image_vector,
        audio_url

    from newest

)

select * from renamed
