{# Definitions of skips and full plays, used by all models. #}

{% macro is_skip(played_ms) -%}
    coalesce({{ played_ms }} < {{ var("skip_below_ms") }}, false)
{%- endmacro %}

{% macro is_listened(played_ms) -%}
    coalesce({{ played_ms }} >= {{ var("skip_below_ms") }}, false)
{%- endmacro %}

{# Fraction of the track that was played, 0 to 1; null if either duration is unknown (`least` alone would ignore
   nulls). #}
{% macro played_ratio(played_ms, duration_ms) -%}
    case
        when {{ played_ms }} is not null and {{ duration_ms }} > 0
            then least(1.0, {{ played_ms }}::double / {{ duration_ms }})
    end
{%- endmacro %}

{% macro is_full_play(played_ms, duration_ms) -%}
    (
        {{ is_listened(played_ms) }}
        and coalesce({{ played_ratio(played_ms, duration_ms) }} >= {{ var("full_play_ratio") }}::double, false)
    )
{%- endmacro %}

{# Behavior of an event. A play is exactly one of skip, full_play and play; the remaining impressions had no click. #}
{% macro behavior(action, played_ms, duration_ms) -%}
    case
        when {{ action }} = 'impression' then 'impression_without_click'
        when {{ action }} <> 'play' then {{ action }}
        when {{ is_skip(played_ms) }} then 'skip'
        when {{ is_full_play(played_ms, duration_ms) }} then 'full_play'
        else 'play'
    end
{%- endmacro %}
