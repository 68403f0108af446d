with

plays as (

    select * from {{ ref("plays") }}

),

first_plays as (

    select
        *,
        row_number() over (partition by user_id, track_id order by play_number) = 1 as is_new_track,
        artist_id is not null
        and row_number() over (partition by user_id, artist_id order by play_number) = 1 as is_new_artist
    from plays

),

-- The counts of a day are known at the following midnight.
daily as (

    select
        user_id,
        date_trunc('day', known_at) + interval 1 day as known_at,
        count(*) as plays,
        count(*) filter (where is_listened) as listens,
        count(*) filter (where is_full_play) as full_plays,
        count(*) filter (where is_skip) as skips,
        count(*) filter (where is_new_track) as new_tracks,
        count(*) filter (where is_new_artist) as new_artists
    from first_plays
    group by all

),

final as (

    select
        user_id,
        known_at::timestamp as known_at,
        (sum(plays) over until_then)::bigint as plays_total,
        (sum(listens) over until_then)::bigint as listens_total,
        (sum(full_plays) over until_then)::bigint as full_plays_total,
        (sum(skips) over until_then)::bigint as skips_total,
        (sum(new_tracks) over until_then)::bigint as tracks_total,
        (sum(new_artists) over until_then)::bigint as artists_total
    from daily
    window until_then as (partition by user_id order by known_at rows unbounded preceding)

)

select * from final
