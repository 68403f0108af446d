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

-- Counts of `daily` whose totals are columns: a further one needs its count there and its name here.
{% set totals = ["plays", "listens", "full_plays", "skips", "likes"] %}

with

-- The 28 days before the first changed day count in plays_28d.
events as (

    select * from {{ ref("events") }}
    where {{ is_statistic_computed_again("events.track_id", "events.known_at", days=28) }}

),

-- A like counts once until its user takes it back; an unlike without a like does not count. Over all days, because the
-- like of an unlike may be old.
like_changes as (

    select
        event_id,
        case behavior when 'like' then 1 else 0 end as is_like,
        lag(case behavior when 'like' then 1 else 0 end, 1, 0) over (
            partition by user_id, track_id order by event_number
        ) as was_liked
    from {{ ref("events") }}
    where target_type = 'track' and behavior in ('like', 'unlike')

),

-- The totals before these days.
kept as (

    {% if is_incremental() %}
    select
        track_id,
        {{ for_each(totals, "max_by(NAME_total, known_at) as NAME_total") }}
    from {{ this }}
    where known_at <= {{ first_changed_day() }} - interval 28 day
    group by track_id
    {% else %}
    select
        cast(null as string) as track_id,
        {{ for_each(totals, "cast(null as bigint) as NAME_total") }}
    {% endif %}

),

-- The counts of a day are known at the following midnight.
daily as (

    select
        events.track_id,
        date_trunc('day', events.known_at) + interval 1 day as known_at,
        count(*) filter (where events.action = 'play') as plays,
        count(*) filter (where {{ is_listened("events.played_ms") }} and events.action = 'play') as listens,
        count(*) filter (where events.behavior = 'full_play') as full_plays,
        count(*) filter (where events.behavior = 'skip') as skips,
        coalesce(sum(like_changes.is_like - like_changes.was_liked), 0) as likes
    from events
    left join like_changes on events.event_id = like_changes.event_id
    where events.target_type = 'track' and events.action in ('play', 'like', 'unlike')
    group by all

),

summed as (

    select
        track_id,
        known_at::timestamp as known_at,
        {%- for name in totals %}
        (sum({{ name }}) over until_then)::bigint as {{ name }}_total,
        {%- endfor %}
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
        {%- for name in totals %}
        summed.{{ name }}_total + coalesce(kept.{{ name }}_total, 0) as {{ name }}_total,
        {%- endfor %}
        summed.plays_7d,
        summed.plays_28d
    from summed
    left join kept on summed.track_id = kept.track_id
    where {{ is_statistic_computed_again("summed.track_id", "summed.known_at - interval 1 day") }}

)

select * from final
{{ order_by_time("known_at") }}
