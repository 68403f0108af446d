{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "ended_at"},
        pre_hook = "{{ delete_rows(is_computed_again('stale.user_id', 'stale.ended_at', 'stale.track_id')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}
-- depends_on: {{ ref("int_changed_tracks") }}

with

events as (

    select * from {{ ref("int_events_ordered") }}

),

plays as (

    select * from {{ ref("int_plays_sessionized") }}
    where {{ is_recent("ended_at") }}

),

tracks as (

    select * from {{ ref("int_track_durations") }}

),

timed as (

    select
        *,
        case when target_type = 'track' then target_id end as track_id
    from events
    where {{ is_computed_again(
        "events.user_id", "events.ended_at", "case when events.target_type = 'track' then events.target_id end"
    ) }}

),

-- The request time of other events than plays is occurred_at, limited to the interval between the adjacent events.
final as (

    select
        timed.event_id,
        timed.user_id,
        timed.event_number,
        timed.sequence_number,
        timed.known_at,
        coalesce(
            plays.request_at,
            least(
                greatest(
                    timed.occurred_at,
                    coalesce(timed.previous_known_at + interval 1 microsecond, timed.occurred_at)
                ),
                timed.known_at - interval 1 microsecond
            )
        ) as request_at,
        timed.occurred_at,
        timed.ended_at,
        timed.action,
        {{ behavior("timed.action", "timed.played_ms", "tracks.duration_ms") }} as behavior,
        timed.target_type,
        timed.target_id,
        timed.track_id,
        case when timed.target_type = 'artist' then timed.target_id else tracks.artist_id end as artist_id,
        timed.played_ms,
        ({{ played_ratio("timed.played_ms", "tracks.duration_ms") }})::float as played_ratio,
        plays.session_id,
        timed.scene,
        timed.context_id,
        timed.request_id,
        timed.position,
        timed.propensity,
        timed.device

    from timed
    left join plays on timed.event_id = plays.event_id
    left join tracks on timed.track_id = tracks.track_id

)

select * from final
