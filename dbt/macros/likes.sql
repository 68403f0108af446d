{# Aggregate function: whether the last like or unlike of a group of deduplicated events is a like; null without any. #}
{% macro ends_liked(events) -%}
    max_by({{ events }}.action = 'like', {{ sort_key(events) }})
    filter (where {{ events }}.action in ('like', 'unlike'))
{%- endmacro %}

{# The contract's order of a user's events. #}
{% macro sort_key(events) -%}
    {{ adapter.dispatch("sort_key", "segue")(events) }}
{%- endmacro %}

{% macro default__sort_key(events) -%}
    row({{ events }}.ended_at, {{ events }}.sequence_number, {{ events }}.event_id)
{%- endmacro %}

{% macro spark__sort_key(events) -%}
    struct({{ events }}.ended_at, {{ events }}.sequence_number, {{ events }}.event_id)
{%- endmacro %}
