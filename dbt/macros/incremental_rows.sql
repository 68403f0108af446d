{# An incremental build computes again: rows of changed users (`int_changed_users`) from their first changed day on, rows of
   tracks with a new length or artist (`int_changed_tracks`), and plays that move to another part of the time split. A model deletes these rows before it runs and appends their replacement, so inside of its query
   `this` contains the rows that stay. #}

{# Condition on the rows to compute again; `true` in a build from all events.

   `user`, `time`: expressions of the user and the time that orders the user's rows. `track`: expression of the track whose
   length or artist the row depends on. `part_time`: expression of the time that decides the part of the row. #}
{% macro is_computed_again(user, time, track=none, part_time=none) -%}
    {%- set moved = moved_times() if execute and is_incremental() and part_time else [] -%}
    {%- if not execute or not is_incremental() or moved == "all" -%}
        true
    {%- else -%}
        (
            {%- if part_time %}
            {{ is_recent(time, has_parts=true) }} and
            {%- endif %}
            ((
                exists (
                    select 1 from {{ state_table("int_changed_users") }} as changed
                    where
                        changed.user_id = {{ user }}
                        {%- if not (part_time and is_split_by_user()) %}
                        and {{ time }} >= changed.from_date
                        {%- endif %}
                )
                {%- if not (part_time and is_split_by_user()) %}
                and {{ time }} >= {{ first_changed_day() }}
                {%- endif %}
            )
            {%- if track and has_changed_tracks() %}
            or exists (
                select 1 from {{ state_table("int_changed_tracks") }} as changed_tracks
                where changed_tracks.track_id = {{ track }}
            )
            {%- endif %}
            {%- for first, end in moved %}
            or ({{ part_time }} >= timestamp '{{ first }}' and {{ part_time }} < timestamp '{{ end }}')
            {%- endfor %})
        )
    {%- endif -%}
{%- endmacro %}

{# Condition on `time` that all rows fulfil that `is_computed_again` selects by user or part, so that older row groups are not
   read; `true` if rows of any time may be selected. `minutes`: so much before the first changed day, too. #}
{% macro is_recent(time, has_parts=false, minutes=0) -%}
    {%- set moved = moved_times() if execute and is_incremental() and has_parts else [] -%}
    {%- if (
        not execute or not is_incremental() or has_changed_tracks() or moved == "all" or (has_parts and is_split_by_user())
    ) -%}
        true
    {%- else -%}
        {#- Times of a row may differ by less than a day. -#}
        (
            {{ time }} >= {{ first_changed_day() }} - interval {{ minutes }} minute
            {%- for first, end in moved %}
            or ({{ time }} >= timestamp '{{ first }}' - interval 1 day and {{ time }} < timestamp '{{ end }}' + interval 1 day)
            {%- endfor %}
        )
    {%- endif -%}
{%- endmacro %}

{# Order of the rows in a build from all events, so that later builds, which read the newest days and append to them, do not
   read older row groups. #}
{% macro order_by_time(time) -%}
    {{ adapter.dispatch("order_by_time", "segue")(time) }}
{%- endmacro %}

{% macro default__order_by_time(time) -%}
    {{ "order by " ~ time if not is_incremental() }}
{%- endmacro %}

{# Spark copies all rows that stay. #}
{% macro spark__order_by_time(time) -%}
{%- endmacro %}

{# True if a track has changed. #}
{% macro has_changed_tracks() -%}
    {{ return(run_query("select count(*) from " ~ state_table("int_changed_tracks")).rows[0][0] > 0) }}
{%- endmacro %}

{# Join with the changed users that restricts rows to those from the first changed day on; nothing in a build from all
   events. Faster than the condition if a row depends on the user alone. `minutes` are added to the column `time`. #}
{% macro join_changed_users(user, time, minutes=0) -%}
    {%- if execute and is_incremental() -%}
        inner join {{ state_table("int_changed_users") }} as changed
            on
                {{ user }} = changed.user_id
                and {{ time }} >= changed.from_date - interval {{ minutes }} minute
                and {{ time }} >= {{ first_changed_day() }} - interval {{ minutes }} minute
    {%- endif -%}
{%- endmacro %}

{# The first day on which any user has changed, as a literal, so that older row groups are not read. #}
{% macro first_changed_day() -%}
    {%- set query = "select cast(min(from_date) as string) from " ~ state_table("int_changed_users") if execute -%}
    {%- set first = run_query(query).rows[0][0] if execute else none -%}
    timestamp '{{ first or "9999-12-31" }} 00:00:00'
{%- endmacro %}

{# True if each user has a time split of their own. #}
{% macro is_split_by_user() -%}
    {{ return(read_time_split()[0] == "user_time") }}
{%- endmacro %}

{# [first, end] of the times between the previous and the present boundaries of the time split, whose part has changed; "all"
   if all parts may have changed. #}
{% macro moved_times() -%}
    {%- set state = build_state() -%}
    {%- set time_split = read_time_split() -%}
    {%- if state is none or state.split != time_split[0] -%}
        {{ return("all") }}
    {%- endif -%}
    {%- set moved = [] -%}
    {%- for old, new in [(state.validation_from, time_split[1]), (state.test_from, time_split[2])] if old != new -%}
        {%- if not old or not new -%}
            {{ return("all") }}
        {%- endif -%}
        {%- do moved.append([old, new] | sort) -%}
    {%- endfor -%}
    {{ return(moved) }}
{%- endmacro %}

{# Statement that deletes rows of `this`, named `stale` in the condition, before the model appends to it. #}
{% macro delete_rows(condition) -%}
    {%- if execute and is_incremental() -%}
        {{ adapter.dispatch("delete_rows", "segue")(condition) }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{% macro default__delete_rows(condition) -%}
    delete from {{ this }} as stale where {{ condition }}
{%- endmacro %}

{# Parquet tables have no delete, so the rows that stay are copied. If this is interrupted after the drop, the table is
   missing and built whole. #}
{% macro spark__delete_rows(condition) -%}
    {%- set kept = state_table(this.identifier ~ "_kept") -%}
    {%- do run_query("drop table if exists " ~ kept) -%}
    {%- do run_query("create table " ~ kept ~ " using parquet as select * from " ~ this ~ " as stale where not " ~ condition) -%}
    {%- do run_query("drop table " ~ this) -%}
    alter table {{ kept }} rename to {{ this }}
{%- endmacro %}

{# First day on which rows may depend on a landed event: the day of its end, or of an impression's occurrence, whose outcome
   is known a fixed time later. #}
{% macro first_dependent_day() -%}
    cast(case when action = 'impression' then least(occurred_at, ended_at) else ended_at end as date)
{%- endmacro %}

{# Condition on the sessions that contain a play that was computed again. #}
{% macro is_session_computed_again() -%}
    {%- if execute and is_incremental() -%}
        (
            {{ is_computed_again("stale.user_id", "stale.ended_at") }}
            or exists (
                select 1 from {{ ref("plays") }} as plays
                where
                    plays.session_id = stale.session_id
                    and {{ is_computed_again("plays.user_id", "plays.ended_at", none, "plays.known_at") }}
            )
        )
    {%- endif -%}
{%- endmacro %}

{# Condition on the days of a user from the first changed day on; all days of users with a play of a changed track. #}
{% macro is_profile_computed_again(rows, time) -%}
    {%- if execute and is_incremental() -%}
        (
            (
                {{ time }} >= {{ first_changed_day() }}
                and exists (
                    select 1 from {{ ref("int_changed_users") }} as changed
                    where changed.user_id = {{ rows }}.user_id and {{ time }} >= changed.from_date
                )
            )
            {%- if has_changed_tracks() %}
            or exists (
                select 1 from {{ ref("plays") }} as played
                inner join {{ ref("int_changed_tracks") }} as changed_tracks on played.track_id = changed_tracks.track_id
                where played.user_id = {{ rows }}.user_id
            )
            {%- endif %}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# Condition on the days of all tracks from the first changed day on, or from `days` days before it; all days of changed
   tracks. #}
{% macro is_statistic_computed_again(track, time, days=0) -%}
    {%- if execute and is_incremental() -%}
        (
            {{ time }} >= {{ first_changed_day() }} - interval {{ days }} day
            {%- if has_changed_tracks() %}
            or exists (
                select 1 from {{ ref("int_changed_tracks") }} as changed_tracks
                where changed_tracks.track_id = {{ track }}
            )
            {%- endif %}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# The first day whose exposures are computed again, as a literal. #}
{% macro first_exposure_day() -%}
    {%- set first = run_query("select cast(from_date as string) from " ~ state_table("int_changed_exposures")).rows[0][0] -%}
    timestamp '{{ first }} 00:00:00'
{%- endmacro %}

{# Condition on exposures that are computed again; `true` in a build from all events. #}
{% macro is_exposure_computed_again(time) -%}
    {%- if execute and is_incremental() -%}
        {{ time }} >= {{ first_exposure_day() }}
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# The landed exposures of the partitions that have exposures to compute again. #}
{% macro read_landed_exposures() -%}
    {%- set partitions = [] -%}
    {%- if execute and build_state() is not none -%}
        {%- set selected -%}
            with
            landed as (
                select distinct {{ landed_partition("file") }} as landed_partition from {{ list_landed_files("exposures") }}
            ),
            first as (
                select cast(from_date as string) as first_day from {{ state_table("int_changed_exposures") }}
            )
            select landed_partition from landed
            cross join first
            where
                landed_partition >= substr(first_day, 1, length(landed_partition))
                or landed_partition = (select max(landed_partition) from landed)
            order by landed_partition
        {%- endset -%}
        {%- do partitions.extend(run_query(selected).columns[0].values() | map("string")) -%}
    {%- endif -%}
    {{- landed_files("exposures", partitions) -}}
{%- endmacro %}

{# Column expressions: the template for each of the names, which replace NAME in it. #}
{% macro for_each(names, template) -%}
    {%- for name in names -%}
        {{ template | replace("NAME", name) }}{{ ",\n        " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Relation with the matches of tracks that are new or gone since the last finished build. #}
{% macro changed_aliases() -%}
    {%- set now = "select alias_id, track_id from " ~ ref("int_track_aliases") -%}
    {%- set built = "select alias_id, track_id from " ~ state_table("built_track_aliases") -%}
    (({{ now }} except {{ built }}) union all ({{ built }} except {{ now }}))
{%- endmacro %}

{# Number of this build in the mart `changed_users`, greater than every number that the table has: µs since 1970. #}
{% macro build_number() -%}
    {%- set started_us = (run_started_at.timestamp() * 1000000) | int -%}
    {%- if execute and is_incremental() -%}
        {%- set newest = run_query("select max(build) from " ~ this).rows[0][0] -%}
        {{ return([started_us, (newest or 0) + 1] | max) }}
    {%- endif -%}
    {{ return(started_us) }}
{%- endmacro %}
