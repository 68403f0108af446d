{# Publish the marts that this run built, sorted by key. A run with any failure publishes nothing, so readers keep the
   last valid marts. `changed_users` is the last, so that a reader of it finds marts that are at least as new. In all files of
   this folder, `default__` is the DuckDB implementation. #}
{% macro publish_marts(results) -%}
    {%- if execute and not has_failures(results) -%}
        {%- set marts = [] -%}
        {%- for result in results if result.node.resource_type in ["model", "seed"] and "sorted_by" in result.node.config.meta -%}
            {%- set rows = "select * from " ~ result.node.relation_name ~ " order by " ~ result.node.config.meta.sorted_by | join(", ") -%}
            {%- do marts.append((result.node, rows)) -%}
        {%- endfor -%}
        {%- set last = marts | selectattr("0.name", "equalto", "changed_users") | list -%}
        {%- do adapter.dispatch("publish", "segue")(marts | reject("in", last) | list + last) -%}
    {%- endif -%}
{%- endmacro %}

{# Write marts/<name>.parquet. DuckDB writes a temporary file and renames it, so that readers never see a partial file.
   (dbt-duckdb's external models are not used because they publish an empty mart with a row of nulls.)
   If tables are on object storage, write built/<name>.parquet, which the next pipeline step (`python -m local.publish_marts`)
   uploads: after an error DuckDB closes a partially written object, which would replace a complete mart. #}
{% macro default__publish(marts) -%}
    {%- set folder = env_var("SEGUE_HOME", "var") ~ ("/built" if env_var("SEGUE_TABLES", "") else "/marts") -%}
    {%- if marts -%}
        {%- do create_folder(folder) -%}
    {%- endif -%}
    {%- for node, rows in marts -%}
        {%- do run_query(
            "copy (" ~ rows ~ ") to '" ~ folder ~ "/" ~ node.name ~ ".parquet' (format parquet, compression zstd, use_tmp_file true)"
        ) -%}
    {%- endfor -%}
{%- endmacro %}

{# A partitioned write of zero rows makes DuckDB create the folder. #}
{% macro create_folder(folder) -%}
    {%- do run_query("copy (select 1 as part, 1 as value where false) to '" ~ folder ~ "' (format parquet, partition_by (part), overwrite_or_ignore true)") -%}
{%- endmacro %}

{# Write the folder spark/marts/<name>/, whose file names are in the order of the rows. Spark cannot write it
   atomically; the next pipeline step (`python -m local.publish_marts`) merges it to the single file that readers expect. #}
{% macro spark__publish(marts) -%}
    {%- for node, rows in marts -%}
        {%- do run_query(
            "insert overwrite directory '" ~ env_var("SEGUE_HOME", "var") ~ "/spark/marts/" ~ node.name
            ~ "' using parquet options (compression 'zstd') " ~ rows
        ) -%}
    {%- endfor -%}
{%- endmacro %}
