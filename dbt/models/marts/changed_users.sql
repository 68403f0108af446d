{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        pre_hook = "{{ delete_rows('stale.build < ' ~ (build_number() | int - var('changed_users_days') * 86400 * 1000000)) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}
-- depends_on: {{ ref("int_changed_tracks") }}
-- The one signal of changes outside of the warehouse. A user has changed in a build
--   * if the build has computed their events again (`int_changed_users`), or
--   * if the length or artist of a track has changed on which their events depend (`int_changed_tracks`).
-- A build from all events begins anew: every user has changed, and no earlier build is known.

with

changes as (

    {% if is_incremental() %}
    select
        user_id,
        cast(from_date as timestamp) as from_time
    from {{ ref("int_changed_users") }}

    union all

    select
        events.user_id,
        events.ended_at as from_time
    from {{ ref("events") }} as events
    inner join {{ ref("int_changed_tracks") }} as changed_tracks on events.track_id = changed_tracks.track_id
    {% else %}
    select
        user_id,
        ended_at as from_time
    from {{ ref("events") }}
    {% endif %}

),

final as (

    select
        user_id,
        min(from_time) as from_time,
        cast({{ build_number() }} as bigint) as build
    from changes
    group by user_id

)

select * from final
