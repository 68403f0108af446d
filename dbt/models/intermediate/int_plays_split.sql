-- A view: parts of old plays change each day, and are only computed for those who read them.
{{ config(materialized = "view", meta = {"time": "ended_at"}) }}

with

time_split as (

    select * from {{ ref("int_time_split_chosen") }}

),

-- No play is counted if all users are split at the same time. This and `shares` read the table themselves, because a
-- CTE that is used more than once is materialized.
counts as (

    select
        plays.user_id,
        count(*) as plays
    from {{ ref("int_plays_sessionized") }} as plays
    cross join time_split
    where time_split.split = 'user_time'
    group by plays.user_id

),

shares as (

    select
        plays.*,
        plays.play_number / counts.plays as share
    from {{ ref("int_plays_sessionized") }} as plays
    left join counts on plays.user_id = counts.user_id

),

split as (

    select
        shares.*,
        case
            when time_split.split = 'user_time' and shares.share < 0.8::double then 'train'
            when time_split.split = 'user_time' and shares.share < 0.9::double then 'validation'
            when time_split.split = 'global_time' and shares.known_at < time_split.validation_from then 'train'
            when time_split.split = 'global_time' and shares.known_at < time_split.test_from then 'validation'
            else 'test'
        end as part
    from shares
    cross join time_split

)

select * from split
