{# Rows whose number differs from their rank within each group, from the group's first number, in the order of `columns`. #}
{% test numbered_in_order(model, column_name, within, columns) %}
    select *
    from (
        select
            {{ within }},
            {{ column_name }},
            row_number() over (
                partition by {{ within }} order by {{ columns | join(", ") }}
            ) - 1 + min({{ column_name }}) over (partition by {{ within }}) as expected
        from {{ model }}
    )
    where {{ column_name }} <> expected
{% endtest %}
