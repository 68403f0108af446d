with

plays as (

    select * from {{ ref("int_plays_clocked") }}

),

cuts as (

    select * from {{ ref("int_cuts_chosen") }}

),

shares as (

    select
        *,
        play_number / count(*) over (partition by user_id) as share
    from plays

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
