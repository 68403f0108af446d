with

landings as (

    select * from {{ ref("stg_landings") }}

),

plays as (

    select * from {{ ref("int_plays_clocked") }}

),

-- Pooled personal exports lie in different years: each user is then split on their own time.
mode as (

    select case when count(*) > 0 then 'user_time' else 'global_time' end as split
    from landings
    where split = 'user_time'

),

quantiles as (

    select
        cast(percentile_disc(0.8) within group (order by {{ micros("known_at") }}) as bigint) as validation_from_us,
        cast(percentile_disc(0.9) within group (order by {{ micros("known_at") }}) as bigint) as test_from_us
    from plays

),

final as (

    select
        mode.split,
        case when mode.split = 'global_time' then {{ time_of("quantiles.validation_from_us") }} end as validation_from,
        case when mode.split = 'global_time' then {{ time_of("quantiles.test_from_us") }} end as test_from
    from mode
    cross join quantiles

)

select * from final
