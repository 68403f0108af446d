{# Keys that occur more than once or contain a null. #}
{% test unique_key(model, columns) %}
    select
        {{ columns | join(", ") }},
        count(*) as copies
    from {{ model }}
    group by all
    having count(*) > 1 or {{ columns | join(" is null or ") }} is null
{% endtest %}
