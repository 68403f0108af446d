{# Rows whose value is not less than their value in the column `later`. #}
{% test precedes(model, column_name, later) %}
    select *
    from {{ model }}
    where not {{ column_name }} < {{ later }}
{% endtest %}
