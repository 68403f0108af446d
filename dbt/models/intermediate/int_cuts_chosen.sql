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
        quantile_disc(known_at, 0.8) as validation_from,
        quantile_disc(known_at, 0.9) as test_from
    from plays

),

final as (

    select
        mode.split,
        case when mode.split = 'global_time' then quantiles.validation_from end as validation_from,
        case when mode.split = 'global_time' then quantiles.test_from end as test_from
    from mode
    cross join quantiles

)

select * from final
