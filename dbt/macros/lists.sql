{# List functions that differ between the engines. In all files of this folder, `default__` is the DuckDB
   implementation. #}

{% macro list_literal(values=[]) -%}
    {{ adapter.dispatch("list_literal", "segue")(values) }}
{%- endmacro %}

{% macro default__list_literal(values) -%}
    [{{ values | join(", ") }}]
{%- endmacro %}

{% macro spark__list_literal(values) -%}
    array({{ values | join(", ") }})
{%- endmacro %}

{% macro is_empty(list) -%}
    {{ adapter.dispatch("is_empty", "segue")(list) }}
{%- endmacro %}

{% macro default__is_empty(list) -%}
    (len({{ list }}) = 0)
{%- endmacro %}

{% macro spark__is_empty(list) -%}
    (size({{ list }}) = 0)
{%- endmacro %}

{# First value of a list; null if the list is empty. #}
{% macro list_first(list) -%}
    {{ adapter.dispatch("list_first", "segue")(list) }}
{%- endmacro %}

{% macro default__list_first(list) -%}
    {{ list }}[1]
{%- endmacro %}

{% macro spark__list_first(list) -%}
    try_element_at({{ list }}, 1)
{%- endmacro %}

{# Aggregate function: list of the values of a group ordered by `ordinal`. #}
{% macro ordered_list_agg(value, ordinal) -%}
    {{ adapter.dispatch("ordered_list_agg", "segue")(value, ordinal) }}
{%- endmacro %}

{% macro default__ordered_list_agg(value, ordinal) -%}
    list({{ value }} order by {{ ordinal }})
{%- endmacro %}

{% macro spark__ordered_list_agg(value, ordinal) -%}
    transform(array_sort(collect_list(struct({{ ordinal }} as ordinal, {{ value }} as value))), item -> item.value)
{%- endmacro %}

{# Clause after `from`: one row per value of the list with an increasing `ordinal`; no row for an empty list. #}
{% macro unnest_list(list, table, value, ordinal="ordinal") -%}
    {{ adapter.dispatch("unnest_list", "segue")(list, table, value, ordinal) }}
{%- endmacro %}

{% macro default__unnest_list(list, table, value, ordinal) -%}
    cross join unnest({{ list }}) with ordinality as {{ table }} ({{ value }}, {{ ordinal }})
{%- endmacro %}

{% macro spark__unnest_list(list, table, value, ordinal) -%}
    lateral view posexplode({{ list }}) {{ table }} as {{ ordinal }}, {{ value }}
{%- endmacro %}
