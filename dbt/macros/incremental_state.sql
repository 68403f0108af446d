{# What the last finished build contained, and so what the next build must compute again. A build continues the tables of
   a finished build of the same models; after a failed or partial build, and after a change of models or variables, it
   computes everything. In all files of this folder, `default__` is the DuckDB implementation. #}

{# A table of the warehouse that no model defines. #}
{% macro state_table(name) -%}
    {{ return(adapter.dispatch("state_table", "segue")(name)) }}
{%- endmacro %}

{% macro default__state_table(name) -%}
    {{ return(api.Relation.create(database=target.database, schema=target.schema, identifier=name, type="table")) }}
{%- endmacro %}

{% macro spark__state_table(name) -%}
    {{ return(api.Relation.create(schema=target.schema, identifier=name, type="table")) }}
{%- endmacro %}

{% macro replace_table(relation, query) -%}
    {%- do adapter.dispatch("replace_table", "segue")(relation, query) -%}
{%- endmacro %}

{% macro default__replace_table(relation, query) -%}
    {%- do run_query("create or replace table " ~ relation ~ " as " ~ query) -%}
{%- endmacro %}

{# Not atomic: after an interruption the table is missing, and the next build computes everything. #}
{% macro spark__replace_table(relation, query) -%}
    {%- do run_query("drop table if exists " ~ relation) -%}
    {%- do run_query("create table " ~ relation ~ " using parquet as " ~ query) -%}
{%- endmacro %}

{# Models that continue the rows of the previous build. #}
{% macro continued_models() -%}
    {%- set models = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == "model" and node.config.materialized == "incremental" -%}
        {%- if node.name != "stg_listening_events" -%}
            {%- do models.append(node) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(models) }}
{%- endmacro %}

{# Hash of the models, seeds and variables on which rows depend. #}
{% macro build_fingerprint() -%}
    {%- set parts = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type in ["model", "seed"] -%}
        {%- do parts.append(node.unique_id ~ "=" ~ node.checksum.checksum) -%}
    {%- endfor -%}
    {%- for name in ["macros_version", "skip_below_ms", "full_play_ratio", "session_gap_minutes", "clock_granularity_minutes",
                     "impression_outcome_minutes", "exposure_outcome_hours", "bot_actions_per_minute", "bot_events_per_day"] -%}
        {%- do parts.append(name ~ "=" ~ var(name)) -%}
    {%- endfor -%}
    {{ return("md5:" ~ local_md5(parts | sort | join(";"))) }}
{%- endmacro %}

{# The last build as a dictionary: as_of, fingerprint, is_finished, split, validation_from, test_from; none before the
   first build. #}
{% macro build_state() -%}
    {%- set relation = state_table("build_state") -%}
    {%- if not execute or load_relation(relation) is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set rows = run_query("select * from " ~ relation) -%}
    {%- set state = {} -%}
    {%- for name in rows.column_names -%}
        {%- do state.update({name: rows.rows[0][name] if name == "is_finished" else rows.rows[0][name] | default("", true) | string}) -%}
    {%- endfor -%}
    {{ return(state) }}
{%- endmacro %}

{% macro write_build_state(is_finished, state) -%}
    {%- do replace_table(
        state_table("build_state"),
        "select '" ~ state.as_of ~ "' as as_of, '" ~ state.fingerprint ~ "' as fingerprint, " ~ is_finished
        ~ " as is_finished, '" ~ state.split ~ "' as split, '" ~ state.validation_from ~ "' as validation_from, '"
        ~ state.test_from ~ "' as test_from"
    ) -%}
{%- endmacro %}

{# Before the models: mark the build as unfinished. Drop tables that cannot be continued, so that they are built whole. #}
{% macro start_build() -%}
    {%- if execute and flags.WHICH in ("build", "run") -%}
        {%- set models = continued_models() -%}
        {%- if models | selectattr("unique_id", "in", selected_resources) | list -%}
            {%- set state = build_state() -%}
            {%- set missing = [] -%}
            {%- for name in models | map(attribute="alias") if load_relation(state_table(name)) is none -%}
                {%- do missing.append(name) -%}
            {%- endfor -%}
            {%- set is_continued = state and state.is_finished and not missing and not flags.FULL_REFRESH -%}
            {%- if is_continued and state.fingerprint == build_fingerprint() -%}
                {%- do write_build_state("false", state) -%}
            {%- else -%}
                {%- do log("The marts are built from all events", info=true) -%}
                {%- for name in models | map(attribute="alias") | list + ["build_state"] -%}
                    {%- set relation = load_relation(state_table(name)) -%}
                    {%- if relation is not none -%}
                        {%- do adapter.drop_relation(relation) -%}
                    {%- endif -%}
                {%- endfor -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# After the models: record what a build of all models without any failure contained. #}
{% macro finish_build(results) -%}
    {%- if execute and flags.WHICH in ("build", "run") and not has_failures(results) -%}
        {%- set built = results | map(attribute="node") | map(attribute="unique_id") | list -%}
        {%- set models = graph.nodes.values() | selectattr("resource_type", "equalto", "model") -%}
        {%- if models | rejectattr("unique_id", "in", built) | list | length == 0 -%}
            {%- do replace_table(
                state_table("built_files"), "select distinct landed_file from " ~ state_table("stg_listening_events")
            ) -%}
            {%- do replace_table(
                state_table("built_exposures"), "select landed_file from " ~ state_table("int_landed_exposures")
            ) -%}
            {%- do replace_table(
                state_table("built_tracks"),
                "select track_id, artist_id, duration_ms from " ~ state_table("int_track_durations")
            ) -%}
            {%- do replace_table(
                state_table("built_excluded_target_tracks"), "select * from " ~ state_table("int_excluded_target_tracks")
            ) -%}
            {%- do replace_table(
                state_table("built_track_aliases"), "select alias_id, track_id from " ~ state_table("int_track_aliases")
            ) -%}
            {%- set time_split = read_time_split() -%}
            {%- do write_build_state("true", {
                "as_of": var("as_of"), "fingerprint": build_fingerprint(),
                "split": time_split[0], "validation_from": time_split[1], "test_from": time_split[2]
            }) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro has_failures(results) -%}
    {{ return(
        results
        | selectattr("status", "in", ["error", "fail", "runtime error", "skipped", "partial success"])
        | list | length > 0
    ) }}
{%- endmacro %}

{# [split, validation_from, test_from] of this build as texts; an empty text for null. #}
{% macro read_time_split() -%}
    {%- set row = run_query(
        "select split, cast(validation_from as string), cast(test_from as string) from " ~ state_table("int_time_split_chosen")
    ).rows[0] -%}
    {{ return([row[0], row[1] | default("", true) | string, row[2] | default("", true) | string]) }}
{%- endmacro %}
