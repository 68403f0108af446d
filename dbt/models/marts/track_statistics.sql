with

events as (

    select * from {{ ref("events") }}

),

-- The counts of a day are known at the following midnight.
daily as (

    select
        track_id,
        date_trunc('day', known_at) + interval 1 day as known_at,
        count(*) filter (where action = 'play') as plays,
        count(*) filter (where {{ is_listened("played_ms") }} and action = 'play') as listens,
        count(*) filter (where behaviour = 'full_play') as full_plays,
        count(*) filter (where behaviour = 'skip') as skips,
        count(*) filter (where behaviour = 'like') as likes
    from events
    where target_type = 'track' and action in ('play', 'like')
    group by all

),

final as (

    select
        track_id,
        known_at::timestamp as known_at,
        (sum(plays) over until_then)::bigint as plays_total,
        (sum(listens) over until_then)::bigint as listens_total,
        (sum(full_plays) over until_then)::bigint as full_plays_total,
        (sum(skips) over until_then)::bigint as skips_total,
        (sum(likes) over until_then)::bigint as likes_total,
        (sum(plays) over (
            partition by track_id order by known_at range between interval 6 day preceding and current row
        ))::bigint as plays_7d,
        (sum(plays) over (
            partition by track_id order by known_at range between interval 27 day preceding and current row
        ))::bigint as plays_28d
    from daily
    window until_then as (partition by track_id order by known_at rows unbounded preceding)

)

select * from final
