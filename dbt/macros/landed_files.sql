{# The landing zone as SQL sees it, and which of its event files a build still has to read.
   Files are immutable and named by their content, so a file that was read once never changes;
   `lookback_days` reads the newest partitions again all the same. #}

{% macro landing_glob(table) -%}
    {{ env_var("SEGUE_HOME", "var") }}/landing/{{ table }}/dt=*/*.parquet
{%- endmacro %}

{# `dt=2026-06-30/4f2c….parquet`: the same name wherever the home folder stands. #}
{% macro landed_file(path) -%}
    regexp_extract({{ path }}, 'dt=[^/\\]+[/\\][^/\\]+$')
{%- endmacro %}

{% macro read_landed(paths) -%}
    read_parquet({{ paths }}, union_by_name = true, filename = true, hive_partitioning = true, hive_types_autocast = false)
{%- endmacro %}

{# SQL that reads the event files which `this` does not hold yet or which lie in the lookback. #}
{% macro landed_events() -%}
    {%- if execute and is_incremental() -%}
        {%- set unread -%}
            with
            files as (
                select
                    file,
                    {{ landed_file("file") }} as landed_file,
                    regexp_extract(file, 'dt=([^/\\]+)', 1) as dt
                from glob('{{ landing_glob("listening_events") }}')
            ),
            newest as (
                select max(try_strptime(dt, ['%Y-%m-%d', '%Y-%m'])) as newest_day from files
            )
            select file
            from files
            cross join newest
            where
                landed_file not in (select distinct landed_file from {{ this }})
                or try_strptime(dt, ['%Y-%m-%d', '%Y-%m']) >= newest_day - interval {{ var("lookback_days") }} day
            order by file
        {%- endset -%}
        {%- set paths = run_query(unread).columns[0].values() -%}
        {{- read_landed("['" ~ paths | join("', '") ~ "']" if paths else "'" ~ landing_glob("listening_events") ~ "'") -}}
    {%- else -%}
        {{- read_landed("'" ~ landing_glob("listening_events") ~ "'") -}}
    {%- endif -%}
{%- endmacro %}

{# A file leaves the landing zone only when a user is forgotten: what it held leaves the table, too. #}
{% macro forget_vanished_files() -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where landed_file not in (
            select {{ landed_file("file") }} from glob('{{ landing_glob("listening_events") }}')
        )
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}
