{{
    config(
        materialized = "incremental",
        incremental_strategy = partition_strategy(),
        unique_key = "landed_partition",
        partition_by = partition_columns(["landed_partition"]),
        on_schema_change = "fail",
        contract = {"enforced": true},
        pre_hook = "{{ delete_removed_files() }}",
    )
}}

with

source as (

    select * from {{ read_landed_events() }}

),

renamed as (

    select
        event_id,
        user_id,
        sequence_number,
        target_type,
        target_id,
        {{ to_naive_utc("occurred_at") }} as occurred_at,
        {{ to_naive_utc("ended_at") }} as ended_at,
        action,
        played_ms,
        scene,
        context_id,
        request_id,
        position,
        propensity,
        device,
        {{ landed_file("filename") }} as landed_file,
        {{ landed_partition("filename") }} as landed_partition

    from source

)

select * from renamed
