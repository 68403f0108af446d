{# Parts of model contracts that dbt-spark does not implement. Types have the same names in both engines, except
   lists. #}

{% macro spark__get_empty_schema_sql(columns) %}
    select
    {% for column in columns.values() -%}
        {%- set type = column["data_type"] -%}
        {%- set type = "array<" ~ type[:-2] ~ ">" if type.endswith("[]") else type -%}
        cast(null as {{ type }}) as {{ column["name"] }}{{ ", " if not loop.last }}
    {%- endfor %}
{% endmacro %}

{# Spark does not enforce constraints of Parquet tables, so nulls in required columns are searched after writing. #}
{% macro spark__persist_constraints(relation, model) %}
    {%- set required = [] -%}
    {%- for column in model.columns.values() if "not_null" in column.constraints | map(attribute="type") -%}
        {%- do required.append(column.name ~ " is null") -%}
    {%- endfor -%}
    {%- if config.get("contract").enforced and required -%}
        {%- set missing = "select count(*) from " ~ relation ~ " where " ~ required | join(" or ") -%}
        {%- set rows = run_query(missing).columns[0].values()[0] -%}
        {%- if rows -%}
            {%- do exceptions.raise_compiler_error(
                rows ~ " rows of " ~ relation ~ " have nulls in required columns; find them with: where " ~ required | join(" or ")
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{# Rows that a data test reads. While a build continues the tables of the last one, those from the first changed day on, by
   the column that `meta.time` of the model names; earlier rows were tested before. References of rows of a week before are
   tested again, because the build may have deleted what they refer to. `dbt test` reads all rows. #}
{% macro default__get_where_subquery(relation) -%}
    {%- set conditions = [config.get("where")] if config.get("where") else [] -%}
    {%- if execute and flags.WHICH == "build" and build_state() is not none -%}
        {%- for node in graph.nodes.values() if node.resource_type == "model" and node.alias == relation.identifier -%}
            {%- if "time" in node.config.meta -%}
                {%- set days = 7 if model.test_metadata.name == "relationships" else 0 -%}
                {%- do conditions.append(node.config.meta.time ~ " >= " ~ first_changed_day() ~ " - interval " ~ days ~ " day") -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if conditions -%}
        {{ return("(select * from " ~ relation ~ " where " ~ conditions | join(" and ") ~ ") dbt_subquery") }}
    {%- else -%}
        {{ return(relation) }}
    {%- endif -%}
{%- endmacro %}
