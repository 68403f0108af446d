{# What a play's length means. Every model that speaks of skips and full plays calls these. #}

{% macro is_skip(played_ms) -%}
    coalesce({{ played_ms }} < {{ var("skip_below_ms") }}, false)
{%- endmacro %}

{% macro is_listened(played_ms) -%}
    coalesce({{ played_ms }} >= {{ var("skip_below_ms") }}, false)
{%- endmacro %}

{# Share of the track that was heard, 0 to 1; null when either length is unknown (`least` alone would skip the null). #}
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

{# A play is exactly one of skip, full play and play; what is left of the impressions had no click. #}
{% macro behaviour(action, played_ms, duration_ms) -%}
    case
        when {{ action }} = 'impression' then 'impression_without_click'
        when {{ action }} <> 'play' then {{ action }}
        when {{ is_skip(played_ms) }} then 'skip'
        when {{ is_full_play(played_ms, duration_ms) }} then 'full_play'
        else 'play'
    end
{%- endmacro %}
