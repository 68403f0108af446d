with

source as (

    select * from {{ landed("exposures") }}

),

-- The same record may be landed twice: the earlier telling stands.
numbered as (

    select
        *,
        row_number() over (partition by event_id order by shown_at, filename) as place
    from source

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
        coalesce(channels, {{ list_of() }}) as channels,
        propensity,
        is_exploration

    from numbered
    where place = 1

)

select * from renamed
