{# Marts hold naive UTC. Clocks count in microseconds since 1970, which are the same instant whatever a session's zone. #}

{% macro micros(time) -%}
    {{ adapter.dispatch("micros", "segue")(time) }}
{%- endmacro %}

{% macro default__micros(time) -%}
    epoch_us({{ time }})
{%- endmacro %}

{% macro spark__micros(time) -%}
    unix_micros(cast({{ time }} as timestamp_ltz))
{%- endmacro %}

{% macro time_of(micros) -%}
    {{ adapter.dispatch("time_of", "segue")(micros) }}
{%- endmacro %}

{% macro default__time_of(micros) -%}
    make_timestamp({{ micros }})
{%- endmacro %}

{% macro spark__time_of(micros) -%}
    cast(timestamp_micros({{ micros }}) as timestamp_ntz)
{%- endmacro %}

{# Landed times carry a zone and marts do not. #}
{% macro utc(column) -%}
    {{ time_of(micros(column)) }}
{%- endmacro %}

{# The first instant that is not known yet. #}
{% macro as_of() -%}
    timestamp '{{ var("as_of") }}'
{%- endmacro %}

{# Minutes as microseconds, for clocks that count in bigint. #}
{% macro minutes_us(minutes) -%}
    ({{ minutes }} * 60000000)
{%- endmacro %}
