{# Tracks that several sources state: which of their values counts. In all files of this folder, `default__` is the DuckDB
   implementation. #}

{# A landed value; null if the source does not state it. Only a catalog in the contract's own format clears a value by an
   empty one; other readers write it where they found nothing. #}
{% macro stated(column) -%}
    case when format = 'own_events' or {{ column }} <> '' then {{ column }} end
{%- endmacro %}

{% macro stated_list(column) -%}
    case when format = 'own_events' or not {{ is_empty(column) }} then {{ column }} end
{%- endmacro %}

{# Aggregate function: the value of the newest source that states one, then of the preferred kind of source, then the greatest. #}
{% macro newest_value(column) -%}
    {{ adapter.dispatch("newest_row", "segue")([column], column ~ " is not null") }}.{{ column }}
{%- endmacro %}

{# Aggregate function: the columns of the newest row that fulfills the condition, as a struct. #}
{% macro newest_row(columns, condition) -%}
    {{ adapter.dispatch("newest_row", "segue")(columns, condition) }}
{%- endmacro %}

{% macro default__newest_row(columns, condition) -%}
    (max(struct_pack(
        {% for column in ["source_at", "source_rank"] + columns %}{{ column }} := {{ column }}{{ ", " if not loop.last }}{% endfor %}
    )) filter (where {{ condition }}))
{%- endmacro %}

{% macro spark__newest_row(columns, condition) -%}
    (max(struct({{ (["source_at", "source_rank"] + columns) | join(", ") }})) filter (where {{ condition }}))
{%- endmacro %}

{# The id of a recording that is unique in the world: the MusicBrainz id or the ISRC; otherwise empty text. #}
{% macro global_recording_id(column) -%}
    regexp_extract(
        lower(replace({{ column }}, '-', '')), '^([0-9a-f]{32}|[a-z]{2}[a-z0-9]{3}[0-9]{7})$', 1
    )
{%- endmacro %}

{# Id of the track that a landed id stands for; `aliases` is the model `int_track_aliases`, joined by `alias_id`. #}
{% macro canonical_track(column) -%}
    coalesce(aliases.track_id, {{ column }})
{%- endmacro %}

{# Rows of `key` and the list `track_ids` with the ids of the tracks that they stand for; without rows of empty lists.
   `relation` numbers the landed rows of a key by `recency_rank`. #}
{% macro canonical_lists(relation, key) -%}
    select
        members.{{ key }},
        {{ ordered_list_agg(canonical_track("members.track_id"), "members.ordinal") }} as track_ids
    from (
        select
            {{ relation }}.{{ key }},
            member.track_id,
            member.ordinal
        from {{ relation }}
        {{ unnest_list(relation ~ ".track_ids", "member", "track_id") }}
        where {{ relation }}.recency_rank = 1
    ) as members
    left join {{ ref("int_track_aliases") }} as aliases on members.track_id = aliases.alias_id
    group by members.{{ key }}
{%- endmacro %}
