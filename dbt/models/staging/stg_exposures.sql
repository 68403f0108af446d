-- depends_on: {{ ref("int_changed_exposures") }}
with

source as (

    select * from {{ read_landed_exposures() }}

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
        is_exploration,
        {{ landed_file("filename") }} as landed_file

    from source

)

select * from renamed
