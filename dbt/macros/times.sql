{# Landed times carry a zone and marts do not: microseconds since 1970 are the same instant whatever the session's zone. #}
{% macro utc(column) -%}
    make_timestamp(epoch_us({{ column }}))
{%- endmacro %}

{# The first instant that is not known yet. #}
{% macro as_of() -%}
    timestamp '{{ var("as_of") }}'
{%- endmacro %}

{# Minutes as microseconds, for clocks that count in bigint. #}
{% macro minutes_us(minutes) -%}
    ({{ minutes }} * 60000000)
{%- endmacro %}
