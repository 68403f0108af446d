{# SQL access to the landing zone. Files are immutable and named by the hash of their content. In all files of this
   folder, `default__` is the DuckDB implementation. #}

{% macro landing_glob(table) -%}
    {{ adapter.dispatch("tables", "segue")() }}/landing/{{ table }}/dt=*/*.parquet
{%- endmacro %}

{# Root of the landing zone: the home folder or a folder on object storage. #}
{% macro default__tables() -%}
    {{ env_var("SEGUE_TABLES", "") or env_var("SEGUE_HOME", "var") }}
{%- endmacro %}

{# Root of the landing zone: the home folder, or the local copies of object storage
   (`storage.object_store.fetch_landing`). #}
{% macro spark__tables() -%}
    {{ env_var("SEGUE_HOME", "var") ~ ("/cache" if env_var("SEGUE_TABLES", "") else "") }}
{%- endmacro %}

{# `dt=2026-06-30/4f2c….parquet`: file name independent of the home folder. #}
{% macro landed_file(path) -%}
    regexp_extract({{ path }}, '(dt=[^/]+/[^/]+)$', 1)
{%- endmacro %}

{# `2026-06-30`, or `2026-06` for a historical load. #}
{% macro landed_partition(path) -%}
    regexp_extract({{ path }}, 'dt=([^/]+)/[^/]+$', 1)
{%- endmacro %}

{# All rows of a landed table, with the file of each row as `filename`. #}
{% macro landed_relation(table) -%}
    {%- set relation = source("landing", table) -%}
    {{ adapter.dispatch("landed_relation", "segue")(relation, table) }}
{%- endmacro %}

{# In DuckDB the source definition contains the location of the files. #}
{% macro default__landed_relation(relation, table) -%}
    {{ relation }}
{%- endmacro %}

{% macro spark__landed_relation(relation, table) -%}
    {{ spark_files(landing_glob(table)) }}
{%- endmacro %}

{% macro spark_files(glob) -%}
    (select *, _metadata.file_path as filename from parquet.`{{ glob }}`)
{%- endmacro %}

{# The files of the given partitions of a landed table; of all partitions if the list is empty. #}
{% macro landed_files(table, partitions) -%}
    {{ adapter.dispatch("landed_files", "segue")(table, partitions) }}
{%- endmacro %}

{% macro default__landed_files(table, partitions) -%}
    {%- set globs = [landing_glob(table)] if not partitions else [] -%}
    {%- for partition in partitions -%}
        {%- do globs.append(landing_glob(table) | replace("dt=*", "dt=" ~ partition)) -%}
    {%- endfor -%}
    read_parquet(['{{ globs | join("', '") }}'], union_by_name = true, filename = true, hive_partitioning = false)
{%- endmacro %}

{% macro spark__landed_files(table, partitions) -%}
    {%- set days = "{" ~ partitions | join(",") ~ "}" if partitions else "*" -%}
    {{ spark_files(landing_glob(table) | replace("dt=*", "dt=" ~ days)) }}
{%- endmacro %}

{# Relation with the paths of all files of a landed table as `file`; no file is opened. #}
{% macro list_landed_files(table) -%}
    {{ adapter.dispatch("list_landed_files", "segue")(table) }}
{%- endmacro %}

{% macro default__list_landed_files(table) -%}
    glob('{{ landing_glob(table) }}')
{%- endmacro %}

{% macro spark__list_landed_files(table) -%}
    (select path as file from binaryFile.`{{ landing_glob(table) }}`)
{%- endmacro %}
