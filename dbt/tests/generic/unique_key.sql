{# Rows of which the columns together name more than one, or leave one of themselves out. #}
{% test unique_key(model, columns) %}
    select
        {{ columns | join(", ") }},
        count(*) as copies
    from {{ model }}
    group by all
    having count(*) > 1 or {{ columns | join(" is null or ") }} is null
{% endtest %}
