{# Incremental processing by partition. The table `stg_listening_events` reprocesses the landed partitions whose files
   have changed, and the newest ones (`lookback_days`). In all files of this folder, `default__` is the DuckDB
   implementation. #}

{% macro partition_strategy() -%}
    {{ return(adapter.dispatch("partition_strategy", "segue")()) }}
{%- endmacro %}

{% macro default__partition_strategy() -%}
    {{ return("delete+insert") }}
{%- endmacro %}

{% macro spark__partition_strategy() -%}
    {{ return("insert_overwrite") }}
{%- endmacro %}

{# Partition columns of the table's own files; none in DuckDB. #}
{% macro partition_columns(columns) -%}
    {{ return(adapter.dispatch("partition_columns", "segue")(columns)) }}
{%- endmacro %}

{% macro default__partition_columns(columns) -%}
    {{ return(none) }}
{%- endmacro %}

{% macro spark__partition_columns(columns) -%}
    {{ return(columns) }}
{%- endmacro %}

{# Drop a table that an older version created without the column `landed_partition`, so that it is rebuilt. #}
{% macro drop_unpartitioned_table() -%}
    {%- if is_incremental() and flags.WHICH in ("build", "run") -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute="name") | list -%}
        {%- if "landed_partition" not in columns -%}
            {%- do adapter.drop_relation(load_relation(this)) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# The landed event files that a build must read. #}
{% macro read_landed_events() -%}
    {%- if execute -%}
        {%- do drop_unpartitioned_table() -%}
    {%- endif -%}
    {%- if execute and is_incremental() -%}
        {%- set changed_partitions -%}
            with
            files as (
                select
                    {{ landed_file("file") }} as landed_file,
                    {{ landed_partition("file") }} as landed_partition
                from {{ list_landed_files("listening_events") }}
            ),
            processed as (
                select distinct landed_file, landed_partition from {{ this }}
            ),
            newest as (
                select max(try_cast(rpad(landed_partition, 10, '-01') as date)) as newest_day from files
            )
            select distinct files.landed_partition
            from files
            cross join newest
            left join processed on files.landed_file = processed.landed_file
            where
                processed.landed_file is null
                or files.landed_partition in (
                    select landed_partition from processed
                    where landed_file not in (select landed_file from files)
                )
                or try_cast(rpad(files.landed_partition, 10, '-01') as date)
                >= newest_day - interval {{ var("lookback_days") }} day
            order by landed_partition
        {%- endset -%}
        {{- landed_files("listening_events", run_query(changed_partitions).columns[0].values()) -}}
    {%- else -%}
        {{- landed_files("listening_events", []) -}}
    {%- endif -%}
{%- endmacro %}

{# Delete the rows of files that are no longer in the landing zone. Files are removed when a user is erased
   and by retention (`make prune`). #}
{% macro delete_removed_files() -%}
    {%- if is_incremental() -%}
        {{ adapter.dispatch("delete_removed_files", "segue")() }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{% macro default__delete_removed_files() -%}
    delete from {{ this }}
    where landed_file not in (select {{ landed_file("file") }} from {{ list_landed_files("listening_events") }})
{%- endmacro %}

{# Drops whole partitions; their remaining files are read again. #}
{% macro spark__delete_removed_files() -%}
    {%- set removed -%}
        select distinct landed_partition from {{ this }}
        where landed_file not in (select {{ landed_file("file") }} from {{ list_landed_files("listening_events") }})
    {%- endset -%}
    {%- set partitions = run_query(removed).columns[0].values() if execute else [] -%}
    {%- if partitions -%}
        alter table {{ this }} drop if exists
        {% for partition in partitions -%}
            partition (landed_partition = '{{ partition }}'){{ ", " if not loop.last }}
        {%- endfor -%}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}
