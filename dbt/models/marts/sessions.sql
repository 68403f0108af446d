{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "ended_at"},
        pre_hook = "{{ delete_rows(is_session_computed_again()) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}
-- depends_on: {{ ref("int_time_split_chosen") }}

-- A play may end this long after the previous one of its session: it takes up to a day.
{% set minutes = 24 * 60 + (var("session_gap_minutes") | int) + (var("clock_granularity_minutes") | int) %}

with

plays as (

    select * from {{ ref("plays") }}
    {% if is_incremental() %}
    -- All plays of a session, also those before the first changed day. It may have lost all others.
    where
        session_id in (
            select recent.session_id
            from {{ ref("plays") }} as recent
            where
                {{ is_recent("recent.ended_at", has_parts=true, minutes=minutes) }}
                and recent.session_id not in (select stored.session_id from {{ this }} as stored)
        )
    {% endif %}

),

final as (

    select
        session_id,
        any_value(user_id) as user_id,
        min(request_at) as started_at,
        max(ended_at) as ended_at,
        count(*) as plays,
        min(play_number) as first_play_number,
        min_by(part, play_number) as part
    from plays
    group by session_id

)

select * from final
{{ order_by_time("ended_at") }}
