with

source as (

    select * from {{ source("landing", "exposures") }}

),

-- The same record may be landed twice: the earlier telling stands.
deduplicated as (

    select *
    from source
    qualify row_number() over (partition by event_id order by shown_at, filename) = 1

),

renamed as (

    select
        event_id,
        request_id,
        user_id,
        scene,
        {{ utc("shown_at") }} as shown_at,
        release,
        arm,
        features_hash,
        target_type,
        target_id,
        position,
        coalesce(channels, []) as channels,
        propensity,
        is_exploration

    from deduplicated

)

select * from renamed
