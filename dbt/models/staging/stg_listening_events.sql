{{
    config(
        materialized = "incremental",
        incremental_strategy = "delete+insert",
        unique_key = "landed_file",
        on_schema_change = "fail",
        contract = {"enforced": true},
        pre_hook = "{{ forget_vanished_files() }}",
    )
}}

with

source as (

    select * from {{ landed_events() }}

),

renamed as (

    select
        event_id,
        user_id,
        sequence_number,
        target_type,
        target_id,
        {{ utc("occurred_at") }} as occurred_at,
        {{ utc("ended_at") }} as ended_at,
        action,
        played_ms,
        scene,
        context_id,
        request_id,
        position,
        propensity,
        device,
        {{ landed_file("filename") }} as landed_file

    from source

)

select * from renamed
