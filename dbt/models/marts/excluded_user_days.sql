with

excluded as (

    select * from {{ ref("int_excluded_user_days") }}

),

final as (

    select
        user_id,
        event_date,
        reason,
        events,
        most_actions_per_minute
    from excluded

)

select * from final
