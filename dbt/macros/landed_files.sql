{# The landing zone as SQL sees it. Files are immutable and named by their content, so a file that was read once never
   changes. `default__` is DuckDB's, as in every file of this folder. #}

{% macro landing_glob(table) -%}
    {{ adapter.dispatch("tables", "segue")() }}/landing/{{ table }}/dt=*/*.parquet
{%- endmacro %}

{# The home folder, or a folder of object storage. #}
{% macro default__tables() -%}
    {{ env_var("SEGUE_TABLES", "") or env_var("SEGUE_HOME", "var") }}
{%- endmacro %}

{# The home folder, or the copies there of what is on object storage, as they were validated (`storage.landing`). #}
{% macro spark__tables() -%}
    {{ env_var("SEGUE_HOME", "var") ~ ("/cache" if env_var("SEGUE_TABLES", "") else "") }}
{%- endmacro %}

{# `dt=2026-06-30/4f2c….parquet`: the same name wherever the home folder stands. #}
{% macro landed_file(path) -%}
    regexp_extract({{ path }}, '(dt=[^/]+/[^/]+)$', 1)
{%- endmacro %}

{# `2026-06-30`, or `2026-06` of a historical load. #}
{% macro landed_partition(path) -%}
    regexp_extract({{ path }}, 'dt=([^/]+)/[^/]+$', 1)
{%- endmacro %}

{# A landed table, whole, with the file of each row as `filename`. #}
{% macro landed(table) -%}
    {%- set relation = source("landing", table) -%}
    {{ adapter.dispatch("landed", "segue")(relation, table) }}
{%- endmacro %}

{# Where DuckDB finds the files stands with the source. #}
{% macro default__landed(relation, table) -%}
    {{ relation }}
{%- endmacro %}

{% macro spark__landed(relation, table) -%}
    {{ spark_files(landing_glob(table)) }}
{%- endmacro %}

{% macro spark_files(glob) -%}
    (select *, _metadata.file_path as filename from parquet.`{{ glob }}`)
{%- endmacro %}

{# The event files of some partitions, of all where none is named. #}
{% macro event_files(partitions) -%}
    {{ adapter.dispatch("event_files", "segue")(partitions) }}
{%- endmacro %}

{% macro default__event_files(partitions) -%}
    {%- set globs = [landing_glob("listening_events")] if not partitions else [] -%}
    {%- for partition in partitions -%}
        {%- do globs.append(landing_glob("listening_events") | replace("dt=*", "dt=" ~ partition)) -%}
    {%- endfor -%}
    read_parquet(['{{ globs | join("', '") }}'], union_by_name = true, filename = true, hive_partitioning = false)
{%- endmacro %}

{% macro spark__event_files(partitions) -%}
    {%- set days = "{" ~ partitions | join(",") ~ "}" if partitions else "*" -%}
    {{ spark_files(landing_glob("listening_events") | replace("dt=*", "dt=" ~ days)) }}
{%- endmacro %}

{# A relation with the path of every landed event file as `file`; no file is opened. #}
{% macro event_paths() -%}
    {{ adapter.dispatch("event_paths", "segue")() }}
{%- endmacro %}

{% macro default__event_paths() -%}
    glob('{{ landing_glob("listening_events") }}')
{%- endmacro %}

{% macro spark__event_paths() -%}
    (select path as file from binaryFile.`{{ landing_glob("listening_events") }}`)
{%- endmacro %}
