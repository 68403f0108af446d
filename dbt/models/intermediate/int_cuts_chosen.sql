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

-- A cut is the play by which so many tenths of all plays are known. It lies in one day, and only that day's plays are
-- put in order: a quantile of all plays would be held in memory by one task.
dated as (

    select
        {{ micros("known_at") }} as known_us,
        known_at::date as known_date
    from plays

),

daily as (

    select
        known_date,
        count(*) as plays
    from dated
    group by known_date

),

counted as (

    select
        known_date,
        plays,
        cast(sum(plays) over (order by known_date rows unbounded preceding) as bigint) as plays_until,
        cast(sum(plays) over () as bigint) as plays_total
    from daily

),

wanted as (

    select
        known_date,
        plays_until,
        plays_until - plays as plays_before,
        {{ quotient("(8 * plays_total + 9)", 10) }} as validation_place,
        {{ quotient("(9 * plays_total + 9)", 10) }} as test_place
    from counted

),

placed as (

    select
        dated.known_us,
        wanted.validation_place,
        wanted.test_place,
        wanted.plays_before + row_number() over (partition by dated.known_date order by dated.known_us) as place
    from dated
    inner join wanted on dated.known_date = wanted.known_date
    where
        wanted.validation_place between wanted.plays_before + 1 and wanted.plays_until
        or wanted.test_place between wanted.plays_before + 1 and wanted.plays_until

),

quantiles as (

    select
        max(case when place = validation_place then known_us end) as validation_from_us,
        max(case when place = test_place then known_us end) as test_from_us
    from placed

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
