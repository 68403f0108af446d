{# Publish the marts that this run built, sorted by key. A run with any failure publishes nothing, so readers keep the
   last valid marts. Of a large mart whose last version this build continued, only the changes are published
   (`publish_changes.sql`). In all files of this folder, `default__` is the DuckDB implementation. #}
{% macro publish_marts(results) -%}
    {%- if execute and not has_failures(results) -%}
        {%- set marts = [] -%}
        {%- for result in results if result.node.resource_type in ["model", "seed"] and "sorted_by" in result.node.config.meta -%}
            {%- set rows = "select * from " ~ result.node.relation_name ~ " order by " ~ result.node.config.meta.sorted_by | join(", ") -%}
            {%- do marts.append((result.node, rows)) -%}
        {%- endfor -%}
        {%- do adapter.dispatch("publish", "segue")(marts) -%}
    {%- endif -%}
{%- endmacro %}

{# Write marts/<name>.parquet. DuckDB writes a temporary file and renames it, so that readers never see a partial file.
   (dbt-duckdb's external models are not used because they publish an empty mart with a row of nulls.)
   If tables are on object storage, write built/<name>.parquet, which the next pipeline step (`python -m local.publish_marts`)
   uploads: after an error DuckDB closes a partially written object, which would replace a complete mart. #}
{% macro default__publish(marts) -%}
    {%- set folder = env_var("SEGUE_HOME", "var") ~ ("/built" if env_var("SEGUE_TABLES", "") else "/marts") -%}
    {%- set version = modules.datetime.datetime.now(modules.pytz.utc).strftime("%Y%m%d%H%M%S%f") -%}
    {%- if marts -%}
        {%- do create_folder(folder) -%}
        {%- do run_query("create table if not exists " ~ state_table("published_marts") ~ " (name varchar, version varchar)") -%}
    {%- endif -%}
    {%- for node, rows in marts -%}
        {%- if not publish_changes(node, folder, version) -%}
            {%- set options = "" -%}
            {%- if may_publish_changes(node) -%}
                {%- set options = ", kv_metadata {version: '" ~ version ~ "'}" -%}
                {%- do record_published(node.name, version) -%}
            {%- endif -%}
            {%- do run_query(
                "copy (" ~ rows ~ ") to '" ~ folder ~ "/" ~ node.name
                ~ ".parquet' (format parquet, compression zstd, use_tmp_file true" ~ options ~ ")"
            ) -%}
        {%- endif -%}
        {%- do drop_changes(node) -%}
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
