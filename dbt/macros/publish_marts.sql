{# Writes each mart that this run built to marts/<name>.parquet, sorted by its key, one file each.
   A run that failed anywhere publishes nothing, so readers keep the last good marts. DuckDB writes to a temporary
   name and renames, so that a reader never sees half a file. (dbt-duckdb's external models are not used: an
   empty one is published with one row of nulls.) #}
{% macro publish_marts(results) -%}
    {%- if execute and results | selectattr("status", "in", ["error", "fail", "runtime error", "skipped", "partial success"]) | list | length == 0 -%}
        {%- set folder = env_var("SEGUE_HOME", "var") ~ "/marts" -%}
        {%- for result in results if result.node.resource_type in ["model", "seed"] and "published_by" in result.node.config.meta -%}
            {%- if loop.first -%}
                {#- Partitioned writing of no rows is how DuckDB makes a folder. -#}
                {%- do run_query("copy (select 1 as part, 1 as one where false) to '" ~ folder ~ "' (format parquet, partition_by (part), overwrite_or_ignore true)") -%}
            {%- endif -%}
            {%- do run_query(
                "copy (select * from " ~ result.node.relation_name ~ " order by " ~ result.node.config.meta.published_by | join(", ")
                ~ ") to '" ~ folder ~ "/" ~ result.node.name ~ ".parquet' (format parquet, compression zstd, use_tmp_file true)"
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
