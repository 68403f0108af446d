{# Publishes each mart that this run built, sorted by its key. A run that failed anywhere publishes nothing, so readers keep
   the last good marts. `default__` is DuckDB's, as in every file of this folder. #}
{% macro publish_marts(results) -%}
    {%- if execute and results | selectattr("status", "in", ["error", "fail", "runtime error", "skipped", "partial success"]) | list | length == 0 -%}
        {%- set marts = [] -%}
        {%- for result in results if result.node.resource_type in ["model", "seed"] and "published_by" in result.node.config.meta -%}
            {%- set rows = "select * from " ~ result.node.relation_name ~ " order by " ~ result.node.config.meta.published_by | join(", ") -%}
            {%- do marts.append((result.node.name, rows)) -%}
        {%- endfor -%}
        {%- do adapter.dispatch("publish", "segue")(marts) -%}
    {%- endif -%}
{%- endmacro %}

{# To marts/<name>.parquet. DuckDB writes to a temporary name and renames, so that a reader never sees half a file.
   (dbt-duckdb's external models are not used: an empty one is published with one row of nulls.)
   Where tables are on object storage, it is built/<name>.parquet, which the next step of the line uploads (`python -m
   local.publish`): DuckDB completes an object that it failed to write, and half a mart would replace a whole one. #}
{% macro default__publish(marts) -%}
    {%- set folder = env_var("SEGUE_HOME", "var") ~ ("/built" if env_var("SEGUE_TABLES", "") else "/marts") -%}
    {%- for name, rows in marts -%}
        {%- if loop.first -%}
            {#- Partitioned writing of no rows is how DuckDB makes a folder. -#}
            {%- do run_query("copy (select 1 as part, 1 as one where false) to '" ~ folder ~ "' (format parquet, partition_by (part), overwrite_or_ignore true)") -%}
        {%- endif -%}
        {%- do run_query("copy (" ~ rows ~ ") to '" ~ folder ~ "/" ~ name ~ ".parquet' (format parquet, compression zstd, use_tmp_file true)") -%}
    {%- endfor -%}
{%- endmacro %}

{# To spark/marts/<name>/, files whose names are in the order of the rows: Spark writes a folder, and not in one go. The
   next step of the line (`python -m local.publish`) makes one file of each, as readers expect it. #}
{% macro spark__publish(marts) -%}
    {%- for name, rows in marts -%}
        {%- do run_query(
            "insert overwrite directory '" ~ env_var("SEGUE_HOME", "var") ~ "/spark/marts/" ~ name
            ~ "' using parquet options (compression 'zstd') " ~ rows
        ) -%}
    {%- endfor -%}
{%- endmacro %}
