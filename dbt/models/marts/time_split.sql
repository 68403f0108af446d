with

time_split as (

    select * from {{ ref("int_time_split_chosen") }}

)

select * from time_split
