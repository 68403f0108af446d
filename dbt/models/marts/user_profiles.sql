{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "known_at"},
        pre_hook = "{{ delete_rows(is_profile_computed_again('stale', 'stale.known_at - interval 1 day')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}
-- depends_on: {{ ref("int_changed_tracks") }}

-- Counts of `daily` whose totals are columns: a further one needs its count there and its name here.
{% set totals = ["plays", "listens", "full_plays", "skips", "tracks", "artists"] %}

with

-- What the user left out of the taste profile does not count.
left_out as (

    select * from {{ ref("int_plays_left_out") }}

),

plays as (

    select * from {{ ref("plays") }}
    where
        {{ is_profile_computed_again("plays", "plays.known_at") }}
        and event_id not in (select event_id from left_out)

),

-- Of all plays, also those before the first changed day, but only of pairs that are counted.
first_plays_of_tracks as (

    select
        user_id,
        track_id,
        min(play_number) as play_number
    from {{ ref("plays") }}
    where
        event_id not in (select event_id from left_out)
        and {{ "(user_id, track_id) in (select user_id, track_id from plays)" if is_incremental() else "true" }}
    group by user_id, track_id

),

first_plays_of_artists as (

    select
        user_id,
        artist_id,
        min(play_number) as play_number
    from {{ ref("plays") }}
    where
        artist_id is not null
        and event_id not in (select event_id from left_out)
        and {{ "(user_id, artist_id) in (select user_id, artist_id from plays)" if is_incremental() else "true" }}
    group by user_id, artist_id

),

-- The totals before the first changed day.
kept as (

    {% if is_incremental() %}
    select
        user_id,
        {{ for_each(totals, "max_by(NAME_total, known_at) as NAME_total") }}
    from {{ this }}
    where user_id in (select user_id from plays)
    group by user_id
    {% else %}
    select
        cast(null as string) as user_id,
        {{ for_each(totals, "cast(null as bigint) as NAME_total") }}
    {% endif %}

),

-- The counts of a day are known at the following midnight.
daily as (

    select
        plays.user_id,
        date_trunc('day', plays.known_at) + interval 1 day as known_at,
        count(*) as plays,
        count(*) filter (where plays.is_listened) as listens,
        count(*) filter (where plays.is_full_play) as full_plays,
        count(*) filter (where plays.is_skip) as skips,
        count(first_plays_of_tracks.play_number) as tracks,
        count(first_plays_of_artists.play_number) as artists
    from plays
    left join first_plays_of_tracks
        on
            plays.user_id = first_plays_of_tracks.user_id
            and plays.track_id = first_plays_of_tracks.track_id
            and plays.play_number = first_plays_of_tracks.play_number
    left join first_plays_of_artists
        on
            plays.user_id = first_plays_of_artists.user_id
            and plays.artist_id = first_plays_of_artists.artist_id
            and plays.play_number = first_plays_of_artists.play_number
    group by all

),

summed as (

    select
        user_id,
        known_at::timestamp as known_at,
        {{ for_each(totals, "(sum(NAME) over until_then)::bigint as NAME_total") }}
    from daily
    window until_then as (partition by user_id order by known_at rows unbounded preceding)

),

final as (

    select
        summed.user_id,
        summed.known_at,
        {{ for_each(totals, "summed.NAME_total + coalesce(kept.NAME_total, 0) as NAME_total") }}
    from summed
    left join kept on summed.user_id = kept.user_id

)

select * from final
{{ order_by_time("known_at") }}
