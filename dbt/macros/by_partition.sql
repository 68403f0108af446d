{# The one incremental table is renewed partition by partition: those whose files are not the ones that it holds, and the
   newest ones (`lookback_days`). `default__` is DuckDB's, as in every file of this folder. #}

{% macro partition_strategy() -%}
    {{ return(adapter.dispatch("partition_strategy", "segue")()) }}
{%- endmacro %}

{% macro default__partition_strategy() -%}
    {{ return("delete+insert") }}
{%- endmacro %}

{% macro spark__partition_strategy() -%}
    {{ return("insert_overwrite") }}
{%- endmacro %}

{# The columns by which the table's own files are partitioned; DuckDB has none. #}
{% macro partition_columns(columns) -%}
    {{ return(adapter.dispatch("partition_columns", "segue")(columns)) }}
{%- endmacro %}

{% macro default__partition_columns(columns) -%}
    {{ return(none) }}
{%- endmacro %}

{% macro spark__partition_columns(columns) -%}
    {{ return(columns) }}
{%- endmacro %}

{# A table from before it was renewed by partition is made anew. #}
{% macro drop_older_form() -%}
    {%- if is_incremental() and flags.WHICH in ("build", "run") -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute="name") | list -%}
        {%- if "landed_partition" not in columns -%}
            {%- do adapter.drop_relation(load_relation(this)) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# The event files that a build has to read. #}
{% macro landed_events() -%}
    {%- if execute -%}
        {%- do drop_older_form() -%}
    {%- endif -%}
    {%- if execute and is_incremental() -%}
        {%- set unread -%}
            with
            files as (
                select
                    {{ landed_file("file") }} as landed_file,
                    {{ landed_partition("file") }} as landed_partition
                from {{ event_paths() }}
            ),
            held as (
                select distinct landed_file, landed_partition from {{ this }}
            ),
            newest as (
                select max(try_cast(rpad(landed_partition, 10, '-01') as date)) as newest_day from files
            )
            select distinct files.landed_partition
            from files
            cross join newest
            left join held on files.landed_file = held.landed_file
            where
                held.landed_file is null
                or files.landed_partition in (
                    select landed_partition from held
                    where landed_file not in (select landed_file from files)
                )
                or try_cast(rpad(files.landed_partition, 10, '-01') as date)
                >= newest_day - interval {{ var("lookback_days") }} day
            order by landed_partition
        {%- endset -%}
        {{- event_files(run_query(unread).columns[0].values()) -}}
    {%- else -%}
        {{- event_files([]) -}}
    {%- endif -%}
{%- endmacro %}

{# A file leaves the landing zone only when a user is forgotten: what it held leaves the table, too. #}
{% macro forget_vanished_files() -%}
    {%- if is_incremental() -%}
        {{ adapter.dispatch("forget_vanished_files", "segue")() }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{% macro default__forget_vanished_files() -%}
    delete from {{ this }}
    where landed_file not in (select {{ landed_file("file") }} from {{ event_paths() }})
{%- endmacro %}

{# Whole partitions go: what they still have is read again. #}
{% macro spark__forget_vanished_files() -%}
    {%- set vanished -%}
        select distinct landed_partition from {{ this }}
        where landed_file not in (select {{ landed_file("file") }} from {{ event_paths() }})
    {%- endset -%}
    {%- set partitions = run_query(vanished).columns[0].values() if execute else [] -%}
    {%- if partitions -%}
        alter table {{ this }} drop if exists
        {% for partition in partitions -%}
            partition (landed_partition = '{{ partition }}'){{ ", " if not loop.last }}
        {%- endfor -%}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}
