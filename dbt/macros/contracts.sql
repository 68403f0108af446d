{# What dbt-spark leaves out of a contract. Types are written as both engines know them, but for lists. #}

{% macro spark__get_empty_schema_sql(columns) %}
    select
    {% for column in columns.values() -%}
        {%- set type = column["data_type"] -%}
        {%- set type = "array<" ~ type[:-2] ~ ">" if type.endswith("[]") else type -%}
        cast(null as {{ type }}) as {{ column["name"] }}{{ ", " if not loop.last }}
    {%- endfor %}
{% endmacro %}

{# Spark holds Parquet tables to no constraint: rows without a required value are looked for when they have been written. #}
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
                rows ~ " rows of " ~ relation ~ " lack a required value; look for " ~ required | join(" or ")
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
