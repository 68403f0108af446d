with

mlogs as (

    select * from {{ ref("stg_mlogs") }}

)

select * from mlogs
