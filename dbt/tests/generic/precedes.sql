{# Rows whose column is not before the later one. #}
{% test precedes(model, column_name, later) %}
    select *
    from {{ model }}
    where not {{ column_name }} < {{ later }}
{% endtest %}
