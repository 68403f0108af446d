with

albums as (

    select * from {{ ref("stg_albums") }}

)

select * from albums
