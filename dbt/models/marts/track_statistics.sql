{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "known_at"},
        pre_hook = "{{ delete_rows(is_statistic_computed_again('stale.track_id', 'stale.known_at - interval 1 day')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}
-- depends_on: {{ ref("int_changed_tracks") }}

with

-- The 28 days before the first changed day count in plays_28d.
events as (

    select * from {{ ref("events") }}
    where {{ is_statistic_computed_again("events.track_id", "events.known_at + interval 28 day") }}

),

-- The totals before these days.
kept as (

    {% if is_incremental() %}
    select
        track_id,
        max(plays_total) as plays_total,
        max(listens_total) as listens_total,
        max(full_plays_total) as full_plays_total,
        max(skips_total) as skips_total,
        max(likes_total) as likes_total
    from {{ this }}
    where known_at <= {{ first_changed_day() }} - interval 28 day
    group by track_id
    {% else %}
    select
        cast(null as string) as track_id,
        cast(null as bigint) as plays_total,
        cast(null as bigint) as listens_total,
        cast(null as bigint) as full_plays_total,
        cast(null as bigint) as skips_total,
        cast(null as bigint) as likes_total
    {% endif %}

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
        count(*) filter (where behaviour = 'like') - count(*) filter (where behaviour = 'unlike') as likes
    from events
    where target_type = 'track' and action in ('play', 'like', 'unlike')
    group by all

),

summed as (

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

),

final as (

    select
        summed.track_id,
        summed.known_at,
        summed.plays_total + coalesce(kept.plays_total, 0) as plays_total,
        summed.listens_total + coalesce(kept.listens_total, 0) as listens_total,
        summed.full_plays_total + coalesce(kept.full_plays_total, 0) as full_plays_total,
        summed.skips_total + coalesce(kept.skips_total, 0) as skips_total,
        summed.likes_total + coalesce(kept.likes_total, 0) as likes_total,
        summed.plays_7d,
        summed.plays_28d
    from summed
    left join kept on summed.track_id = kept.track_id
    where {{ is_statistic_computed_again("summed.track_id", "summed.known_at - interval 1 day") }}

)

select * from final
