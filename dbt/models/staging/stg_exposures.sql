-- depends_on: {{ ref("int_changed_exposures") }}
with

source as (

    select * from {{ read_landed_exposures() }}

),

aliases as (

    select * from {{ ref("int_track_aliases") }}

),

renamed as (

    select
        source.event_id,
        source.request_id,
        source.user_id,
        source.scene,
        {{ to_naive_utc("source.shown_at") }} as shown_at,
        source.release,
        source.arm,
        source.features_hash,
        source.target_type,
        {{ canonical_track("source.target_id") }} as target_id,
        source.position,
        coalesce(source.channels, {{ list_literal() }}) as channels,
        source.propensity,
        source.is_exploration,
        {{ landed_file("source.filename") }} as landed_file

    from source
    left join aliases on source.target_type = 'track' and source.target_id = aliases.alias_id

)

select * from renamed
