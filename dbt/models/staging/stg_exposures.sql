-- depends_on: {{ ref("int_changed_exposures") }}
with

source as (

    select * from {{ read_landed_exposures() }}

),

-- A record may be landed more than once; keep the earliest copy.
numbered as (

    select
        *,
        row_number() over (partition by event_id order by shown_at, filename) as copy_number
    from source

),

renamed as (

    select
        event_id,
        request_id,
        user_id,
        scene,
        {{ to_naive_utc("shown_at") }} as shown_at,
        release,
        arm,
        features_hash,
        target_type,
        target_id,
        position,
        coalesce(channels, {{ list_literal() }}) as channels,
        propensity,
        is_exploration

    from numbered
    where copy_number = 1

)

select * from renamed
