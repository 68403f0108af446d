{# Tracks that several sources state: which of their values counts, and the names by which tracks are matched. In all files of
   this folder, `default__` is the DuckDB implementation. #}

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

{# Normalized name without featured artists, punctuation and accents; null for an empty name. A featured artist is kept if
   the same words name another recording: "feat. X - Remix" ends before the dash, "(feat. X Remix)" stays as it is. #}
{% macro match_key(folded_name) -%}
    {%- set featured = " *[(\\[](feat\\.?|ft\\.?|featuring) [^)\\]]*[)\\]]| (feat\\.|ft\\.|featuring) ([^ (\\[]| [^ (\\[-]| -[^ ])*" -%}
    {%- set alone = fold_accents(without(folded_name, featured)) -%}
    {%- set spelled = replace_all(replace_all(alone, "['’‘`´ʼ]", ""), "&", " and ") -%}
    coalesce(
        nullif(trim({{ replace_all(spelled, "[^\\p{L}\\p{M}\\p{N}]+", " ") }}), ''), nullif({{ folded_name }}, '')
    )
{%- endmacro %}

{# Normalized title without marks of a remaster and without "(with X)": by them alone, recordings of one length are the same. #}
{% macro without_edition(folded_title) -%}
    {%- set remaster = "([0-9]{4} )?(digital(ly)? )?remaster(ed)?( version)?( [0-9]{4})?" -%}
    {%- set alone = without(folded_title, " *[(\\[]with [^)\\]]*[)\\]]") -%}
    {{ replace_all(alone, " *[(\\[]" ~ remaster ~ "[)\\]]| +[-–] +" ~ remaster ~ "$", "") }}
{%- endmacro %}

{# The text without the matches of the pattern, unless the first one names another recording of a song. #}
{% macro without(text, pattern) -%}
    {%- set other_recording = "\\b(remix(ed)?|mix|live|instrumental|acoustic|version|edit|demo|cover|karaoke|dub|unplugged)\\b" -%}
    case
        when regexp_extract(regexp_extract({{ text }}, {{ string_literal(pattern) }}, 0), {{ string_literal(other_recording) }}, 0) = ''
            then {{ replace_all(text, pattern, "") }}
        else {{ text }}
    end
{%- endmacro %}

{# Text without the accents of Latin, Greek and Cyrillic letters. Marks of other scripts make other letters and stay. #}
{% macro fold_accents(text) -%}
    {{ adapter.dispatch("fold_accents", "segue")(text) }}
{%- endmacro %}

{% macro default__fold_accents(text) -%}
    case
        when regexp_extract({{ text }}, '[^\p{Latin}\p{Greek}\p{Cyrillic}\p{Common}\p{Inherited}]', 0) = ''
            then translate(strip_accents({{ text }}), 'øłđı', 'oldi')
        else {{ text }}
    end
{%- endmacro %}

{% macro spark__fold_accents(text) -%}
    case
        when regexp_extract({{ text }}, '[^\\p{IsLatin}\\p{IsGreek}\\p{IsCyrillic}\\p{IsCommon}\\p{IsInherited}]', 0) = ''
            then translate(regexp_replace({{ text }}, '[\u0300-\u036f]+', ''), 'øłđı', 'oldi')
        else {{ text }}
    end
{%- endmacro %}

{% macro replace_all(text, pattern, replacement) -%}
    {{ adapter.dispatch("replace_all", "segue")(text, pattern, replacement) }}
{%- endmacro %}

{% macro default__replace_all(text, pattern, replacement) -%}
    regexp_replace({{ text }}, {{ string_literal(pattern) }}, '{{ replacement }}', 'g')
{%- endmacro %}

{% macro spark__replace_all(text, pattern, replacement) -%}
    regexp_replace({{ text }}, {{ string_literal(pattern) }}, '{{ replacement }}')
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
