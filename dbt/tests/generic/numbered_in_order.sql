{# Rows whose number differs from their rank, from 0, in the order of `columns` within each group. #}
{% test numbered_in_order(model, column_name, within, columns) %}
    select *
    from (
        select
            {{ within }},
            {{ column_name }},
            row_number() over (
                partition by {{ within }} order by {{ columns | join(", ") }}
            ) - 1 as expected
        from {{ model }}
    )
    where {{ column_name }} <> expected
{% endtest %}
