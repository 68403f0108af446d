with

cuts as (

    select * from {{ ref("int_cuts_chosen") }}

)

select * from cuts
