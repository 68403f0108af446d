{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "outcome_at"},
        pre_hook = "{{ delete_rows(is_computed_again('stale.user_id', 'stale.outcome_at')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_users") }}

-- Impressions and responses each read the events, because a CTE that is used more than once is materialized.
with

behaviors as (

    select * from {{ ref("behaviors") }}

),

-- Before the end of its outcome window an impression has no outcome, not even "no click".
impressions as (

    select
        events.*,
        events.occurred_at as shown_at,
        events.occurred_at + interval {{ var("impression_outcome_minutes") }} minute as outcome_at
    from {{ ref("int_events_deduplicated") }} as events
    {{ join_changed_users("events.user_id", "events.occurred_at", minutes=var("impression_outcome_minutes")) }}
    where
        events.action = 'impression'
        and events.occurred_at + interval {{ var("impression_outcome_minutes") }} minute < {{ as_of() }}

),

-- Clicks, plays and positive behaviors; a dislike does not count as a click, nor does an unlike.
responses as (

    select events.*
    from {{ ref("int_events_deduplicated") }} as events
    {{ join_changed_users("events.user_id", "events.ended_at", minutes=var("impression_outcome_minutes")) }}
    where events.action in (
        select behaviors.action from behaviors
        where behaviors.polarity in ('positive', 'neutral') or behaviors.action = 'unlike'
    )

),

-- A response counts if its outcome was known within the window, so that an outcome never depends on later events.
outcomes as (

    select
        impressions.event_id,
        bool_or(responses.action = 'click') as is_clicked,
        bool_or(responses.action = 'play') as is_played,
        bool_or(responses.action <> 'unlike') as has_response,
        {{ ends_liked("responses") }} as is_liked,
        max(responses.played_ms) as longest_played_ms

    from impressions
    inner join responses
        on
            impressions.user_id = responses.user_id
            and impressions.target_type = responses.target_type
            and impressions.target_id = responses.target_id
            and impressions.request_id is not distinct from responses.request_id
            and responses.ended_at between impressions.shown_at and impressions.outcome_at
    group by impressions.event_id

),

resolved as (

    select
        impressions.*,
        coalesce(outcomes.is_clicked, false) as is_clicked,
        coalesce(outcomes.is_played, false) as is_played,
        coalesce(outcomes.is_liked, false) as is_liked,
        outcomes.longest_played_ms,
        not coalesce(outcomes.has_response, false) as is_without_click

    from impressions
    left join outcomes on impressions.event_id = outcomes.event_id

)

select * from resolved
{{ order_by_time("outcome_at") }}
