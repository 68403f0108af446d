with

aliases as (

    select * from {{ ref("int_track_aliases") }}

)

select * from aliases
