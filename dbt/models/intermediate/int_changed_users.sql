-- depends_on: {{ ref("stg_listening_events") }}
-- depends_on: {{ ref("int_excluded_target_tracks") }}
-- depends_on: {{ ref("int_track_aliases") }}
-- Decides which users the next models compute again, and from which day on. A user has changed if
--   * an event of the user is in a file that the last finished build did not have, or is in none anymore,
--   * a track of one of the user's events has another id now (`int_track_aliases`),
--   * an album or playlist that the user left out of the taste profile has other tracks, or
--   * an event or the outcome of an impression lies between the previous and the present as_of.
-- Models delete the rows of these users from that day on and append new ones. Empty in a build from all events.
{%- set state = build_state() if execute else none %}
with

{% if state is none %}

changes as (

    select
        cast(null as string) as user_id,
        cast(null as date) as from_date
    where false

)

{% else %}

files as (

    select {{ landed_file("file") }} as landed_file
    from {{ list_landed_files("listening_events") }}

),

-- Events of files that the last build did not contain.
arrived as (

    select event_id
    from {{ ref("stg_listening_events") }}
    where landed_file not in (select landed_file from {{ state_table("built_files") }})

),

-- Events of files that have been removed since.
removed as (

    select
        event_id,
        user_id,
        {{ first_dependent_day() }} as from_date
    from {{ state_table("int_events_deduplicated") }}
    where landed_file not in (select landed_file from files)

),

-- Albums and playlists whose tracks have changed since users left them out.
changed_targets as (

    select
        target_type,
        target_id
    from (
        (
            select * from {{ ref("int_excluded_target_tracks") }}
            except
            select * from {{ state_table("built_excluded_target_tracks") }}
        )
        union all
        (
            select * from {{ state_table("built_excluded_target_tracks") }}
            except
            select * from {{ ref("int_excluded_target_tracks") }}
        )
    )

),

changes as (

    -- All copies of these events, because another one may count now.
    select
        user_id,
        {{ first_dependent_day() }} as from_date
    from {{ ref("stg_listening_events") }}
    where event_id in (select event_id from arrived union all select event_id from removed)

    union all

    select
        user_id,
        from_date
    from removed

    union all

    -- A day may be below the limits of the bot filter without the events of a removed file.
    select
        user_id,
        event_date as from_date
    from {{ state_table("int_excluded_user_days") }}
    where exists (
        select 1 from {{ state_table("built_files") }}
        where landed_file not in (select landed_file from files)
    )

    union all

    select
        user_id,
        {{ first_dependent_day() }} as from_date
    from {{ ref("stg_listening_events") }}
    where action = 'exclude' and (target_type, target_id) in (select target_type, target_id from changed_targets)

    union all

    select
        user_id,
        {{ first_dependent_day() }} as from_date
    from {{ ref("stg_listening_events") }}
    where target_type = 'track' and target_id in (select alias_id from {{ changed_aliases() }})

    union all

    -- Events and outcomes between the previous and the present as_of.
    select
        user_id,
        date '{{ [state.as_of, var("as_of") | string] | min }}' as from_date
    from {{ ref("stg_listening_events") }}
    where
        ended_at >= timestamp '{{ [state.as_of, var("as_of") | string] | min }} 00:00:00'
        - interval {{ var("impression_outcome_minutes") }} minute

)

{% endif %}

select
    user_id,
    min(from_date) as from_date
from changes
group by user_id
