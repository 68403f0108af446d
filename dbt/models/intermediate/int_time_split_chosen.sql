with

landings as (

    select * from {{ ref("stg_landings") }}

),

plays as (

    select * from {{ ref("int_plays_sessionized") }}

),

-- Personal exports cover different years, so each user is split by their own time.
mode as (

    select case when count(*) > 0 then 'user_time' else 'global_time' end as split
    from landings
    where split = 'user_time'

),

-- A boundary is a quantile of known_at over all plays. Only the plays of the day that contains it are sorted, because
-- an exact quantile of all plays would require memory for all of them in one task.
dated as (

    select
        {{ epoch_micros("known_at") }} as known_us,
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

boundary_ranks as (

    select
        known_date,
        plays_until,
        plays_until - plays as plays_before,
        {{ integer_divide("(8 * plays_total + 9)", 10) }} as validation_rank,
        {{ integer_divide("(9 * plays_total + 9)", 10) }} as test_rank
    from counted

),

ranked as (

    select
        dated.known_us,
        boundary_ranks.validation_rank,
        boundary_ranks.test_rank,
        boundary_ranks.plays_before
        + row_number() over (partition by dated.known_date order by dated.known_us) as play_rank
    from dated
    inner join boundary_ranks on dated.known_date = boundary_ranks.known_date
    where
        boundary_ranks.validation_rank between boundary_ranks.plays_before + 1 and boundary_ranks.plays_until
        or boundary_ranks.test_rank between boundary_ranks.plays_before + 1 and boundary_ranks.plays_until

),

quantiles as (

    select
        max(case when play_rank = validation_rank then known_us end) as validation_from_us,
        max(case when play_rank = test_rank then known_us end) as test_from_us
    from ranked

),

final as (

    select
        mode.split,
        case
            when mode.split = 'global_time' then {{ timestamp_from_micros("quantiles.validation_from_us") }}
        end as validation_from,
        case
            when mode.split = 'global_time' then {{ timestamp_from_micros("quantiles.test_from_us") }}
        end as test_from
    from mode
    cross join quantiles

)

select * from final
