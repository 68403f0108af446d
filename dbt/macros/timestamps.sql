{# Marts contain timestamps in UTC without time zone. Computations use microseconds since 1970, which are independent
   of the session's time zone. #}

{% macro epoch_micros(time) -%}
    {{ adapter.dispatch("epoch_micros", "segue")(time) }}
{%- endmacro %}

{% macro default__epoch_micros(time) -%}
    epoch_us({{ time }})
{%- endmacro %}

{% macro spark__epoch_micros(time) -%}
    unix_micros(cast({{ time }} as timestamp_ltz))
{%- endmacro %}

{% macro timestamp_from_micros(microseconds) -%}
    {{ adapter.dispatch("timestamp_from_micros", "segue")(microseconds) }}
{%- endmacro %}

{% macro default__timestamp_from_micros(microseconds) -%}
    make_timestamp({{ microseconds }})
{%- endmacro %}

{% macro spark__timestamp_from_micros(microseconds) -%}
    cast(timestamp_micros({{ microseconds }}) as timestamp_ntz)
{%- endmacro %}

{# Landed timestamps have a time zone, timestamps of marts do not. #}
{% macro to_naive_utc(column) -%}
    {{ timestamp_from_micros(epoch_micros(column)) }}
{%- endmacro %}

{# First unknown point in time: only events before it are used. #}
{% macro as_of() -%}
    timestamp '{{ var("as_of") }}'
{%- endmacro %}

{# Minutes as microseconds (bigint). #}
{% macro minutes_us(minutes) -%}
    {{ (minutes | int) * 60000000 }}
{%- endmacro %}
