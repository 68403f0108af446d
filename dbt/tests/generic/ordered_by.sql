{# Rows whose number is not their place, from 0, in the order of the columns within the group. #}
{% test ordered_by(model, column_name, within, columns) %}
    select *
    from (
        select
            {{ within }},
            {{ column_name }},
            row_number() over (
                partition by {{ within }} order by {{ columns | join(", ") }}
            ) - 1 as place
        from {{ model }}
    )
    where {{ column_name }} <> place
{% endtest %}
