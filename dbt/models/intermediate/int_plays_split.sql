-- A view: parts of old plays change each day, and are only computed for those who read them.
{{ config(materialized = "view", meta = {"time": "ended_at"}) }}

with

plays as (

    select * from {{ ref("int_plays_clocked") }}

),

cuts as (

    select * from {{ ref("int_cuts_chosen") }}

),

-- No play is counted if all users are split at the same time.
counts as (

    select
        plays.user_id,
        count(*) as plays
    from plays
    cross join cuts
    where cuts.split = 'user_time'
    group by plays.user_id

),

shares as (

    select
        plays.*,
        plays.play_number / counts.plays as share
    from plays
    left join counts on plays.user_id = counts.user_id

),

split as (

    select
        shares.*,
        case
            when cuts.split = 'user_time' and shares.share < 0.8::double then 'train'
            when cuts.split = 'user_time' and shares.share < 0.9::double then 'validation'
            when cuts.split = 'global_time' and shares.known_at < cuts.validation_from then 'train'
            when cuts.split = 'global_time' and shares.known_at < cuts.test_from then 'validation'
            else 'test'
        end as part
    from shares
    cross join cuts

)

select * from split
