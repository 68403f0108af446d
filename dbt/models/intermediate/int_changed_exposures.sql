-- depends_on: {{ ref("int_changed_users") }}
-- depends_on: {{ ref("int_changed_tracks") }}
-- depends_on: {{ ref("int_landed_exposures") }}
-- Decides from which day on exposures are computed again: the first one on which
--   * a user has changed (`int_changed_users`), or an exposure of a changed track was shown (`int_changed_tracks`),
--   * an exposure file was added or removed since the last finished build, or
--   * an outcome window had not ended when the last build ran.
-- It is moved back by that window. In a build from all events it is the first day of all.
{%- set state = build_state() if execute else none %}
with

{% if state is none %}

changes as (

    select cast('1970-01-01' as date) as from_date

)

{% else %}

files as (

    select * from {{ ref("int_landed_exposures") }}

),

changes as (

    select from_date from {{ ref("int_changed_users") }}

    union all

    -- Outcomes are final when their window has ended before as_of.
    select date '{{ [state.as_of, var("as_of") | string] | min }}' as from_date

    union all

    select cast(rpad({{ landed_partition("landed_file") }}, 10, '-01') as date) as from_date
    from files
    where landed_file not in (select landed_file from {{ state_table("built_exposures") }})

    union all

    select cast(rpad({{ landed_partition("landed_file") }}, 10, '-01') as date) as from_date
    from {{ state_table("built_exposures") }}
    where landed_file not in (select landed_file from files)

    union all

    select cast(exposures.shown_at as date) as from_date
    from {{ state_table("exposures") }} as exposures
    inner join {{ ref("int_changed_tracks") }} as changed_tracks on exposures.track_id = changed_tracks.track_id

)

{% endif %}

select cast(min(from_date)::timestamp - interval {{ var("exposure_outcome_hours") }} hour as date) as from_date
from changes
