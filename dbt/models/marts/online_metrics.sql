{{
    config(
        materialized = "incremental",
        incremental_strategy = "append",
        on_schema_change = "fail",
        meta = {"time": "shown_date"},
        pre_hook = "{{ delete_rows(is_exposure_computed_again('stale.shown_date')) }}",
    )
}}
-- depends_on: {{ ref("int_changed_exposures") }}

with

exposures as (

    select * from {{ ref("exposures") }}
    where {{ is_exposure_computed_again("shown_at") }}

),

-- An exposure counts for each channel that retrieved it, and once for `all`.
with_channels as (

    select
        *,
        array_append(
            case when {{ is_empty("channels") }} then {{ list_literal(["'none'"]) }} else channels end, 'all'
        ) as counting_channels
    from exposures

),

counted as (

    select
        with_channels.*,
        unnested.channel
    from with_channels
    {{ unnest_list("with_channels.counting_channels", "unnested", "channel") }}

),

summed as (

    select
        shown_at::date as shown_date,
        release,
        scene,
        channel,
        count(distinct user_id) as users,
        count(distinct request_id) as requests,
        count(*) as exposures,
        count(*) filter (where is_played) as plays,
        count(*) filter (where is_full_play) as full_plays,
        count(*) filter (where is_skip) as skips,
        count(*) filter (where is_liked) as likes,
        bool_and(is_settled) as is_settled
    from counted
    group by all

),

final as (

    select
        shown_date,
        release,
        scene,
        channel,
        users,
        requests,
        exposures,
        plays,
        full_plays,
        skips,
        likes,
        full_plays / nullif(plays, 0) as finish_rate,
        skips / nullif(plays, 0) as skip_rate,
        1000 * likes / exposures as likes_per_1000,
        is_settled
    from summed

)

select * from final
