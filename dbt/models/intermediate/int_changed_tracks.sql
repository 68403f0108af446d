-- depends_on: {{ ref("int_track_aliases") }}
-- Decides the tracks whose plays and totals are computed again: these rows depend on the length of the track (skip,
-- full play) and on its main artist. A track has changed if
--   * the last finished build did not have it, or had another length or artist, or
--   * it is matched with another track now, or no longer (`int_track_aliases`).
-- Empty in a build from all events.
{%- set state = build_state() if execute else none %}
with

measured as (

    select * from {{ ref("int_track_durations") }}

),

changed as (

    {% if state is none %}
    select track_id from measured
    where false
    {% else %}
    select measured.track_id
    from measured
    left join {{ state_table("built_tracks") }} as built on measured.track_id = built.track_id
    where
        built.track_id is null
        or measured.artist_id is distinct from built.artist_id
        or measured.duration_ms is distinct from built.duration_ms

    union

    select alias_id as track_id from {{ changed_aliases() }}

    union

    select track_id from {{ changed_aliases() }}
    {% endif %}

)

select * from changed
