{# The quotient of whole numbers, without its fraction. #}
{% macro quotient(dividend, divisor) -%}
    {{ adapter.dispatch("quotient", "segue")(dividend, divisor) }}
{%- endmacro %}

{% macro default__quotient(dividend, divisor) -%}
    ({{ dividend }} // {{ divisor }})
{%- endmacro %}

{% macro spark__quotient(dividend, divisor) -%}
    ({{ dividend }} div {{ divisor }})
{%- endmacro %}
