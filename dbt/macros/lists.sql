{# Lists as each engine writes them. `default__` is DuckDB's, as in every file of this folder. #}

{% macro list_of(values=[]) -%}
    {{ adapter.dispatch("list_of", "segue")(values) }}
{%- endmacro %}

{% macro default__list_of(values) -%}
    [{{ values | join(", ") }}]
{%- endmacro %}

{% macro spark__list_of(values) -%}
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

{# The first value, null where there is none. #}
{% macro first_of(list) -%}
    {{ adapter.dispatch("first_of", "segue")(list) }}
{%- endmacro %}

{% macro default__first_of(list) -%}
    {{ list }}[1]
{%- endmacro %}

{% macro spark__first_of(list) -%}
    try_element_at({{ list }}, 1)
{%- endmacro %}

{# An aggregate: the values of a group in the order of `place`. #}
{% macro list_ordered(value, place) -%}
    {{ adapter.dispatch("list_ordered", "segue")(value, place) }}
{%- endmacro %}

{% macro default__list_ordered(value, place) -%}
    list({{ value }} order by {{ place }})
{%- endmacro %}

{% macro spark__list_ordered(value, place) -%}
    transform(array_sort(collect_list(struct({{ place }} as place, {{ value }} as value))), one -> one.value)
{%- endmacro %}

{# Stands behind `from`: a row for each value of the list, whose `place` rises; none for an empty list. #}
{% macro each_of(list, table, value, place="place") -%}
    {{ adapter.dispatch("each_of", "segue")(list, table, value, place) }}
{%- endmacro %}

{% macro default__each_of(list, table, value, place) -%}
    cross join unnest({{ list }}) with ordinality as {{ table }} ({{ value }}, {{ place }})
{%- endmacro %}

{% macro spark__each_of(list, table, value, place) -%}
    lateral view posexplode({{ list }}) {{ table }} as {{ place }}, {{ value }}
{%- endmacro %}
