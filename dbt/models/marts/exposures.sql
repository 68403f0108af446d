{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "shown_at"},
        pre_hook = "{{ delete_rows(is_exposure_computed_again('stale.shown_at')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_exposures") }}

with

excluded as (

    select * from {{ ref("int_excluded_user_days") }}

),

-- A record may be landed more than once. The earliest copy counts, but none of an excluded day, because the partition
-- of an older copy may not be read again.
copies as (

    select
        staged.*,
        row_number() over (partition by staged.event_id order by staged.shown_at, staged.landed_file) as copy_number,
        case when staged.target_type = 'track' then staged.target_id end as track_id,
        staged.shown_at + interval {{ var("exposure_outcome_hours") }} hour as outcome_at
    from {{ ref("stg_exposures") }} as staged
    left join excluded on staged.user_id = excluded.user_id and staged.shown_at::date = excluded.event_date
    where
        staged.shown_at < {{ as_of() }}
        and excluded.user_id is null
        and {{ is_exposure_computed_again("staged.shown_at") }}
        {% if is_incremental() %}
        -- An older copy, which stays.
        and staged.event_id not in (select event_id from {{ this }})
        {% endif %}

),

shown as (

    select * from copies
    where copy_number = 1

),

tracks as (

    select * from {{ ref("int_track_durations") }}

),

responses as (

    select *
    from {{ ref("int_events_deduplicated") }}
    where
        action in ('play', 'like', 'unlike')
        and request_id is not null
        and {{ is_exposure_computed_again("ended_at") }}

),

-- Playing a whole list takes longer than the outcome window of impressions; responses are therefore matched by request.
outcomes as (

    select
        shown.event_id,
        bool_or(responses.action = 'play') as is_played,
        {{ ends_liked("responses") }} as is_liked,
        max(responses.played_ms) as played_ms

    from shown
    inner join responses
        on
            shown.request_id = responses.request_id
            and shown.user_id = responses.user_id
            and shown.target_type = responses.target_type
            and shown.target_id = responses.target_id
            and shown.shown_at <= responses.ended_at
            and shown.outcome_at > responses.ended_at
    group by shown.event_id

),

final as (

    select
        shown.event_id,
        shown.request_id,
        shown.user_id,
        shown.scene,
        shown.shown_at,
        shown.release,
        shown.arm,
        shown.features_hash,
        shown.target_type,
        shown.target_id,
        shown.track_id,
        shown.position,
        shown.channels,
        shown.propensity,
        shown.is_exploration,
        coalesce(outcomes.is_played, false) as is_played,
        outcomes.played_ms,
        {{ is_full_play("outcomes.played_ms", "tracks.duration_ms") }} as is_full_play,
        {{ is_skip("outcomes.played_ms") }} as is_skip,
        coalesce(outcomes.is_liked, false) as is_liked,
        shown.outcome_at <= {{ as_of() }} as is_settled

    from shown
    left join outcomes on shown.event_id = outcomes.event_id
    left join tracks on shown.track_id = tracks.track_id

)

select * from final
