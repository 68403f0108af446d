{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "ended_at"},
        pre_hook = "{{ delete_rows(is_computed_again('stale.user_id', 'stale.ended_at', 'stale.track_id', 'stale.known_at')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}
-- depends_on: {{ ref("int_changed_tracks") }}
-- depends_on: {{ ref("int_time_split_chosen") }}

with

events as (

    select * from {{ ref("events") }}
    where {{ is_recent("ended_at", has_parts=true) }}

),

plays as (

    select * from {{ ref("int_plays_split") }}

),

final as (

    select
        plays.event_id,
        plays.user_id,
        plays.play_number,
        plays.known_at,
        plays.request_at,
        events.ended_at,
        plays.track_id,
        events.artist_id,
        plays.played_ms,
        events.played_ratio,
        events.behavior,
        {{ is_listened("plays.played_ms") }} as is_listened,
        events.behavior = 'skip' as is_skip,
        events.behavior = 'full_play' as is_full_play,
        plays.session_id,
        plays.part,
        events.scene,
        events.context_id,
        events.request_id,
        events.position,
        plays.event_number

    from plays
    inner join events on plays.event_id = events.event_id
    where {{ is_computed_again("plays.user_id", "plays.ended_at", "plays.track_id", "plays.known_at") }}

)

select * from final
{{ order_by_time("ended_at") }}
