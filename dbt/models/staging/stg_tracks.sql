with

source as (

    select * from {{ landed_relation("tracks") }}

),

numbered as (

    select
        *,
        row_number() over (partition by track_id order by landed_at desc, filename desc) as recency_rank
    from source

),

renamed as (

    select
        track_id,
        recording_id,
        title,
        coalesce(artist_ids, {{ list_literal() }}) as artist_ids,
        album_id,
        duration_ms,
        released_on,
        {{ to_naive_utc("available_from") }} as available_from,
        {{ to_naive_utc("available_until") }} as available_until,
        coalesce(territories, {{ list_literal() }}) as territories,
        is_explicit,
        case when language is null then {{ list_literal() }} else {{ list_literal(["language"]) }} end as languages,
        coalesce(styles, {{ list_literal() }}) as styles,
        coalesce(scenes, {{ list_literal() }}) as scenes,
        coalesce(emotions, {{ list_literal() }}) as emotions,
        coalesce(themes, {{ list_literal() }}) as themes,
        lyrics,
        audio_vector,
        image_vector,
        audio_url,
        audio_path,
        cover_path

    from numbered
    where recency_rank = 1

)

select * from renamed
