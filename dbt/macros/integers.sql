{# Integer division. #}
{% macro integer_divide(dividend, divisor) -%}
    {{ adapter.dispatch("integer_divide", "segue")(dividend, divisor) }}
{%- endmacro %}

{% macro default__integer_divide(dividend, divisor) -%}
    ({{ dividend }} // {{ divisor }})
{%- endmacro %}

{% macro spark__integer_divide(dividend, divisor) -%}
    ({{ dividend }} div {{ divisor }})
{%- endmacro %}
